//! `medfocus serve` over HTTP: the same answers as `medfocus attribute`, to many at once, to nobody who may not ask.

use std::{
    io::{Cursor, Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use medfocus_tests::{Server, bright_cell, medfocus, outside_plugin, run, workspace};
use serde_json::{Value, json};

const QUESTION: &str = "Is there evidence of consolidation in the image?";

/// A phantom as a PNG file.
fn phantom(folder: &Path, index: u64) -> Vec<u8> {
    let out = folder.join(format!("phantom_{index}"));
    let ran = run(medfocus()
        .args(["sample", "--index", &index.to_string(), "--out"])
        .arg(&out));
    assert_eq!(ran.code, 0, "{ran:?}");
    std::fs::read(out.join("image.png")).expect("it was written")
}

/// A record without what a clock says.
fn timeless(record: &[u8]) -> Value {
    let mut record: Value = serde_json::from_slice(record).expect("a record is JSON");
    record["seconds"] = Value::Null;
    for calls in record["calls"]
        .as_object_mut()
        .expect("it has calls")
        .values_mut()
    {
        calls["seconds"] = Value::Null;
    }
    record
}

#[test]
fn a_question_is_answered_as_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let image = phantom(folder.path(), 3);
    let segmenter = [
        "--set",
        "slots.segmenter.component=medsam",
        "--set",
        "slots.segmenter.params.path=configs/checkpoints/phantom-medsam",
    ];
    let server = Server::start(&segmenter);
    let held = server.upload(&image);
    for (method, more, set, mode) in [
        ("medfocus", json!({}), "seed=0", "direct"),
        (
            "medfocus",
            json!({"params": {"share": 0.9}}),
            "share=0.9",
            "direct",
        ),
        (
            "medfocus",
            json!({"mode": "reasoning"}),
            "seed=0",
            "reasoning",
        ),
        ("occlusion", json!({}), "seed=0", "direct"),
        ("gradcam", json!({"answer": "No"}), "seed=0", "direct"),
    ] {
        let job = server.job(&held, method, &more);
        let end = server.end(&job);
        assert_eq!(end["phase"], "done", "{end}");
        let out = folder.path().join("out");
        let mut command = medfocus();
        command
            .args(["attribute", "--model", "phantom-gemma3", "--method", method])
            .args([
                "--question",
                QUESTION,
                "--mode",
                mode,
                "--set",
                set,
                "--image",
            ])
            .arg(folder.path().join("phantom_3/image.png"))
            .arg("--out")
            .arg(&out)
            .args(segmenter);
        if let Some(answer) = more["answer"].as_str() {
            command.args(["--answer", answer]);
        }
        let ran = run(&mut command);
        assert_eq!(ran.code, 0, "{ran:?}");
        let written = |name: &str| std::fs::read(out.join(name)).expect("it was written");
        assert_eq!(
            timeless(&server.file(&job, "attribution.json")),
            timeless(&written("attribution.json")),
            "{method} {more}"
        );
        let answer = server.get(&format!("/api/jobs/{job}/answer")).json();
        let zip = server.get(&format!("/api/jobs/{job}/medfocus.zip")).body;
        let mut zip = zip::ZipArchive::new(Cursor::new(zip)).expect("it is an archive");
        let names = answer["files"].as_array().expect("it names its files");
        assert_eq!(zip.len(), names.len());
        for name in names.iter().filter_map(Value::as_str) {
            let served = server.file(&job, name);
            if name != "attribution.json" {
                assert_eq!(served, written(name), "{name} of {method} {more}");
            }
            let mut zipped = Vec::new();
            zip.by_name(name).unwrap().read_to_end(&mut zipped).unwrap();
            assert_eq!(zipped, served, "{name}");
        }
    }
}

#[test]
fn the_page_is_told_what_the_record_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let held = server.upload(&phantom(folder.path(), 3));
    let job = server.job(&held, "medfocus", &json!({}));
    assert_eq!(server.end(&job)["phase"], "done");
    let record: Value = serde_json::from_slice(&server.file(&job, "attribution.json")).unwrap();
    let answer = server.get(&format!("/api/jobs/{job}/answer")).json();
    assert_eq!(answer["answer"], record["answer"]);
    assert_eq!(answer["evidence"], record["evidence"]["winner"]);
    assert_eq!(answer["tokens"][0]["text"], record["tokens"][0]["text"]);
    let deltas: Vec<f64> = answer["concepts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|concept| concept["delta"].as_f64().unwrap())
        .collect();
    assert!(
        deltas.len() > 5 && deltas.is_sorted_by(|a, b| a >= b),
        "{deltas:?}"
    );
    let winner = &answer["concepts"][0];
    assert_eq!(winner["hue"], 0);
    let tokens = answer["tokens"].as_array().unwrap().len();
    assert_eq!(winner["drops"].as_array().unwrap().len(), tokens);
    for layer in answer["layers"].as_array().unwrap() {
        let path = format!("/api/jobs/{job}/layers/{}", layer.as_str().unwrap());
        let layer = image::load_from_memory(&server.get(&path).body).expect("it is a picture");
        assert_eq!((layer.width(), layer.height()), (896, 896));
    }
    let same = server.get(&format!("/api/images/{held}/picture.png")).body;
    assert_eq!(image::load_from_memory(&same).unwrap().width(), 224);
}

#[test]
fn eight_users_at_once_each_get_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let users: Vec<_> = (0..8).map(|user| phantom(folder.path(), user)).collect();
    let ask = |user: usize, image: &[u8]| {
        let method = ["medfocus", "occlusion", "gradcam", "centre_box"][user % 4];
        let model = ["phantom-gemma3", "phantom-qwen2_5_vl"][user / 4];
        let question = format!("Is there evidence of finding number {user} in the image?");
        let held = server.upload(image);
        let job = server.job(
            &held,
            method,
            &json!({"question": question, "model": model}),
        );
        assert_eq!(server.end(&job)["phase"], "done");
        let record = timeless(&server.file(&job, "attribution.json"));
        let digest = format!("blake3:{}", blake3::hash(image).to_hex());
        assert_eq!(record["image"]["digest"], digest);
        assert!(record["question"].as_str().unwrap().starts_with(&question));
        assert_eq!(record["method"]["component"], method);
        record
    };
    let at_once: Vec<Value> = std::thread::scope(|scope| {
        let asked: Vec<_> = users
            .iter()
            .enumerate()
            .map(|(user, image)| scope.spawn(move || ask(user, image)))
            .collect();
        asked.into_iter().map(|user| user.join().unwrap()).collect()
    });
    for (user, image) in users.iter().enumerate() {
        assert_eq!(at_once[user], ask(user, image), "user {user} alone");
    }
}

#[test]
fn a_full_queue_refuses_and_what_is_cancelled_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--queue", "1"]);
    let held = server.upload(&phantom(folder.path(), 0));
    let long = json!({"params": {"count": 65_536}});
    let running = server.job(&held, "rise", &long);
    let state = |job: &str| server.get(&format!("/api/jobs/{job}")).json();
    while state(&running)["phase"] == "queued" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let waiting = server.job(&held, "rise", &long);
    assert_eq!(state(&waiting)["phase"], "queued");
    assert_eq!(state(&waiting)["ahead"], 1);
    let refused = server.ask(&held, "rise", &long);
    refused.refuses(429, &["too many questions"]);
    assert_eq!(refused.headers["retry-after"], "5");
    let early = server.get(&format!("/api/jobs/{running}/answer"));
    early.refuses(409, &["not there yet"]);

    let cancel = |job: &str| server.send("DELETE", &format!("/api/jobs/{job}"), &[], &[]);
    assert_eq!(cancel(&waiting).json()["phase"], "cancelled");
    let next = server.job(&held, "centre_box", &json!({}));
    assert_eq!(cancel(&running).status, 202);
    assert_eq!(server.end(&running)["phase"], "cancelled");
    assert_eq!(server.end(&next)["phase"], "done");
    // What has ended stays as it is.
    assert_eq!(cancel(&next).json()["phase"], "done");
}

#[test]
fn nothing_holds_up_the_others_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = outside_plugin();
    let plugin = plugin.to_str().unwrap();
    let server = Server::start(&["--longest", "5", "--plugins", plugin]);
    let held = server.upload(&phantom(folder.path(), 0));
    let slow = server.job(&held, "rise", &json!({"params": {"count": 65_536}}));
    let hangs = server.job(&held, "hangs", &json!({}));
    let next = server.job(&held, "centre_box", &json!({}));
    let end = server.end(&slow);
    assert_eq!(end["phase"], "failed");
    assert!(
        end["error"]
            .as_str()
            .unwrap()
            .contains("took longer than 5 s"),
        "{end}"
    );
    let end = server.end(&hangs);
    assert!(
        end["error"].as_str().unwrap().contains("did not stop"),
        "{end}"
    );
    assert_eq!(server.end(&next)["phase"], "done");
}

#[test]
fn what_is_no_image_or_no_question_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--upload", "1"]);
    let image = phantom(folder.path(), 0);
    let upload = |bytes: &[u8]| server.send("POST", "/api/images", &[], bytes);
    upload(b"").refuses(422, &["no PNG, JPEG, TIFF or DICOM"]);
    upload(b"%PDF-1.7 and so on").refuses(422, &["no PNG, JPEG, TIFF or DICOM"]);
    upload(&image[..image.len() / 2]).refuses(422, &["PNG file is damaged or cut short"]);
    let mut huge = image.clone();
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(upload(&huge).status, 422);
    // Before it is sent, if its length is said; otherwise as soon as it is too much.
    let too_much = format!("{:x}\r\n{}", (1 << 20) + 1, "x".repeat((1 << 20) + 1));
    for (length, body) in [
        ("Content-Length: 1048577", ""),
        ("Transfer-Encoding: chunked", too_much.as_str()),
    ] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head = format!("POST /api/images HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("the image has more than 1 MiB"), "{answer}");
    }

    let held = server.upload(&image);
    let ask = |more: Value| server.ask(&held, "medfocus", &more);
    ask(json!({"question": "  "})).refuses(422, &["no question"]);
    ask(json!({"question": "?".repeat(5000)})).refuses(422, &["4000 characters"]);
    ask(json!({"model": "gpt"})).refuses(422, &["no such model"]);
    ask(json!({"method": "tea leaves"})).refuses(422, &["no such method"]);
    ask(json!({"mode": "loud"})).refuses(422, &["not the JSON"]);
    ask(json!({"colour": "red"})).refuses(422, &["colour"]);
    ask(json!({"params": {"share": 7}})).refuses(422, &["`share` must lie in"]);
    ask(json!({"params": {"shaer": 0.7}})).refuses(422, &["none that a question may set"]);
    let json = [("Content-Type", "application/json")];
    let broken = server.send("POST", "/api/jobs", &json, b"{");
    broken.refuses(400, &["not the JSON"]);
    assert_eq!(
        server
            .send("DELETE", &format!("/api/images/{held}"), &[], &[])
            .status,
        204
    );
    ask(json!({})).refuses(404, &["no such image"]);
}

#[test]
fn no_path_of_a_request_reaches_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let held = server.upload(&phantom(folder.path(), 0));
    let job = server.job(&held, "centre_box", &json!({}));
    assert_eq!(server.end(&job)["phase"], "done");
    for path in [
        "/etc/passwd".to_owned(),
        "/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/..%2f..%2fCargo.toml".to_owned(),
        "/api/images/..%2f..%2f..%2fetc%2fpasswd".to_owned(),
        "/api/images/%2fetc%2fpasswd/picture.png".to_owned(),
        "/api/samples/-1/picture.png".to_owned(),
        "/api/samples/99999999999999999999/picture.png".to_owned(),
        "/api/jobs/0123456789abcdef0123456789abcdef".to_owned(),
        format!("/api/jobs/{job}/files/..%2f..%2fattribution.json"),
        format!("/api/jobs/{job}/files/%2fetc%2fpasswd"),
        format!("/api/jobs/{job}/files/attribution.json%00.png"),
        format!("/api/jobs/{job}/layers/..%2ffiles%2foverlay.png"),
    ] {
        server.get(&path).refuses(404, &[]);
    }
    let ask = |more: Value| server.ask(&held, "centre_box", &more);
    ask(json!({"image": "/etc/passwd"})).refuses(404, &["no such image"]);
    ask(json!({"model": "gemma3=/etc"})).refuses(422, &["no such model"]);
    ask(json!({"model": "../models/phantom-gemma3"})).refuses(422, &["no such model"]);
    ask(json!({"params": {"path": "/etc/passwd"}})).refuses(422, &["none that a question may set"]);
}

#[test]
fn only_its_own_page_and_its_own_name_are_let_in() {
    let server = Server::start(&["--host", "reading.example"]);
    let own = server.address.clone();
    let page = |headers: &[(&str, &str)]| server.send("GET", "/", headers, &[]);
    for host in [own.as_str(), "localhost:8750", "reading.example"] {
        assert_eq!(page(&[("Host", host)]).status, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", ""] {
        page(&[("Host", host)]).refuses(421, &["--host NAME"]);
    }
    let post = |headers: &[(&str, &str)]| server.send("POST", "/api/samples/0/image", headers, &[]);
    assert_eq!(post(&[]).status, 201);
    assert_eq!(post(&[("Origin", &format!("http://{own}"))]).status, 201);
    post(&[("Origin", "http://evil.example")]).refuses(403, &["another site"]);
    post(&[("Origin", "null")]).refuses(403, &["another site"]);
    post(&[("Sec-Fetch-Site", "cross-site")]).refuses(403, &["another site"]);

    let headers = page(&[]).headers;
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert!(!policy.contains("unsafe"));
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(!headers.contains_key("access-control-allow-origin"));
}

#[test]
fn without_the_token_nobody_comes_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let token = "0123456789-correct-horse";
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let server = Server::start(&["--token-file", file.to_str().unwrap()]);
    let get = |path: &str, headers: &[(&str, &str)]| server.send("GET", path, headers, &[]);
    let offers = "/api/offers";
    get(offers, &[]).refuses(401, &["asks for its token"]);
    get("/openapi.json", &[]).refuses(401, &[]);
    for wrong in [
        "Bearer",
        "Bearer ",
        "Bearer 0123456789-correct-hors",
        "Basic abc",
    ] {
        get(offers, &[("Authorization", wrong)]).refuses(401, &[]);
    }
    get(offers, &[("Cookie", "medfocus=")]).refuses(401, &[]);
    get(offers, &[("Cookie", &format!("medfocus={token}"))]).refuses(401, &[]);
    let bearer = format!("Bearer {token}");
    assert_eq!(get(offers, &[("Authorization", &bearer)]).status, 200);

    let page = get("/", &[]);
    assert_eq!(
        (page.status, page.headers["location"].to_str().unwrap()),
        (303, "/login")
    );
    assert_eq!(get("/login", &[]).status, 200);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let log_in =
        |token: &str| server.send("POST", "/login", &form, format!("token={token}").as_bytes());
    log_in("wrong-wrong-wrong-wrong").refuses(401, &["not this server's token"]);
    let cookie = log_in(token).headers["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let (cookie, _) = cookie.split_once(';').unwrap();
    assert!(!cookie.contains(token));
    assert_eq!(get("/", &[("Cookie", cookie)]).status, 200);

    let refused = |arguments: &[&str]| run(medfocus().arg("serve").args(arguments));
    refused(&["--listen", "0.0.0.0:0"])
        .one_sentence(&["no address of this machine alone", "--token-file"]);
    std::fs::write(&file, "short").unwrap();
    refused(&["--token-file", file.to_str().unwrap()]).one_sentence(&["at least 16"]);
    refused(&["--token-file", "nowhere"]).one_sentence(&["token file nowhere cannot be read"]);
    refused(&["--model", "nothing"]).one_sentence(&["there is no model nothing.toml"]);
    refused(&["--listen", &server.address]).one_sentence(&["cannot listen at", "--listen"]);
}

#[test]
fn whoever_dawdles_is_cut_off_and_whoever_says_too_much_is_refused() {
    let server = Server::start(&[]);
    let mut slow = TcpStream::connect(&server.address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-")
        .unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("the server ends it");
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));

    let mut long = TcpStream::connect(&server.address).unwrap();
    let padding = "x".repeat(64 << 10);
    let _ = write!(
        long,
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Pad: {padding}\r\n\r\n"
    );
    let mut rest = Vec::new();
    let _ = long.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_document_names_every_way_in() {
    let server = Server::start(&[]);
    let document = server.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let mut count = 0;
    for (path, operations) in paths {
        let path = path
            .replace("{id}", &"0".repeat(32))
            .replace("{index}", "7")
            .replace("{name}", "x");
        for method in operations.as_object().unwrap().keys() {
            let answer = server.send(&method.to_uppercase(), &path, &[], &[]);
            assert_ne!(answer.status, 405, "{method} {path}");
            if answer.status == 404 {
                answer.refuses(404, &["there is no such"]);
            }
            count += 1;
        }
    }
    assert!(count >= 16, "{count} operations");
    server
        .get("/api/nothing")
        .refuses(404, &["there is nothing here"]);
    let source = workspace().join("host/src/serve/page");
    for file in source.read_dir().unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text
            .lines()
            .filter(|line| !line.contains("http://www.w3.org/2000/svg"))
        {
            assert!(
                !line.contains("http://") && !line.contains("https://"),
                "{line}"
            );
        }
    }
}

#[test]
fn the_log_holds_nothing_of_patients() {
    let folder = tempfile::tempdir().unwrap();
    let cell = std::fs::read(bright_cell(folder.path(), 2, 3)).unwrap();
    let server = Server::start(&[]);
    let held = server.upload(&cell);
    let more = json!({"question": "Does Erika Mustermann cough?", "answer": "Surely so"});
    let job = server.job(&held, "occlusion", &more);
    assert_eq!(server.end(&job)["phase"], "done");
    let log = server.log();
    assert!(log.contains("made"), "it logs: {log}");
    for word in ["Mustermann", "Surely", &held, &job] {
        assert!(!log.contains(word), "`{word}` in {log}");
    }
}
