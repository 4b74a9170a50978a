//! Sending objects to archives, and taking films, over real sockets.

mod support;

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::from_reader;
use medfocus_dicom::archive::{Archive, Peer, Speaking, receive::Receiver};
use medfocus_plugin_api::{Error, Result};

fn film() -> support::Film {
    support::Film::new(40, 60, &[7; 2400])
}

fn speaking(seconds: u64) -> Speaking {
    Speaking {
        title: "MEDFOCUS".into(),
        patience: Duration::from_secs(seconds),
        authorities: None,
    }
}

/// Runs `client` with the port of a receiver; returns what came, and what it returned.
fn received<T>(limit: usize, keeps: bool, client: impl FnOnce(u16) -> T) -> (Vec<Vec<u8>>, T) {
    let at = Peer::parse("HERE@127.0.0.1:0").unwrap();
    let receiver = Receiver::open(&at, limit, Duration::from_secs(20)).unwrap();
    let port = receiver.address().unwrap().port();
    let (stopped, films) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let returned = thread::scope(|scope| {
        scope.spawn(|| {
            let store = |film| {
                if !keeps {
                    return Err(Error::internal("the disk is full"));
                }
                films.lock().unwrap().push(film);
                Ok(())
            };
            receiver.serve(|| stopped.load(Ordering::SeqCst), store);
        });
        let returned = client(port);
        stopped.store(true, Ordering::SeqCst);
        returned
    });
    (films.into_inner().unwrap(), returned)
}

fn send(title: &str, port: u16, files: &[&[u8]]) -> Result<()> {
    let archive = Archive::parse(&format!("dicom://{title}@127.0.0.1:{port}")).unwrap();
    archive.send(files, &speaking(20))
}

const LIMIT: usize = 1 << 20;

#[test]
fn what_is_sent_arrives_as_it_is() {
    let one = film();
    let other = film().with(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4");
    let files = [&one, &other].map(|film| film.file(uids::IMPLICIT_VR_LITTLE_ENDIAN));
    let (films, sent) = received(LIMIT, true, |port| {
        send("HERE", port, &[&files[0], &files[1]])
    });
    sent.unwrap();
    assert_eq!(films.len(), 2);
    for (film, sent) in films.iter().zip([one, other]) {
        let file = from_reader(&film[..]).unwrap();
        assert_eq!(
            file.meta().transfer_syntax(),
            uids::EXPLICIT_VR_LITTLE_ENDIAN
        );
        let pixels = |set: &dicom_object::InMemDicomObject| {
            set.get(tags::PIXEL_DATA)
                .unwrap()
                .to_bytes()
                .unwrap()
                .into_owned()
        };
        assert_eq!(pixels(&file), pixels(&sent.0));
        let instance = sent
            .0
            .get(tags::SOP_INSTANCE_UID)
            .unwrap()
            .to_str()
            .unwrap();
        assert_eq!(file.meta().media_storage_sop_instance_uid(), instance);
        let name = file.get(tags::PATIENT_NAME).unwrap().to_str().unwrap();
        assert_eq!(name, "Mustermann^Änne");
    }
}

#[test]
fn a_receiver_takes_films_under_its_own_title_alone() {
    let file = film().file(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let capture = film().with(
        tags::SOP_CLASS_UID,
        VR::UI,
        uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    );
    let capture = capture.file(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let (films, refused) = received(LIMIT, true, |port| {
        [
            send("THERE", port, &[&file]),
            send("HERE", port, &[&capture]),
        ]
        .map(|refused| refused.unwrap_err().to_string())
    });
    assert!(films.is_empty());
    assert!(
        refused[0].contains("called AE title not recognized"),
        "{refused:?}"
    );
    assert!(
        refused[1].contains("takes none of these objects"),
        "{refused:?}"
    );
}

#[test]
fn a_film_that_is_not_kept_is_not_said_to_be() {
    let file = film().file(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    for (limit, keeps) in [(1000, true), (LIMIT, false)] {
        let (films, sent) = received(limit, keeps, |port| send("HERE", port, &[&file]));
        assert!(films.is_empty());
        let sentence = sent.unwrap_err().to_string();
        assert!(sentence.contains("status A700H"), "{sentence}");
    }
}

#[test]
fn noise_does_not_end_the_receiver() {
    let file = film().file(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let (films, sent) = received(LIMIT, true, |port| {
        for noise in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[0x04, 0, 0xff, 0xff, 0xff, 0xff],
            &[1],
        ] {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(noise).unwrap();
        }
        send("HERE", port, &[&file])
    });
    sent.unwrap();
    assert_eq!(films.len(), 1);
}

#[test]
fn silence_and_absence_are_told_in_a_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = film().file(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    for address in [
        format!("dicom://PACS@127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/studies"),
    ] {
        let archive = Archive::parse(&address).unwrap();
        let silent = archive
            .send(&[&file], &speaking(1))
            .unwrap_err()
            .to_string();
        assert!(
            silent.contains(&address.replace("dicom://", "")),
            "{silent}"
        );
        assert!(silent.contains("did not answer within 1 s"), "{silent}");
    }
    drop(listener);
    let gone = send("PACS", port, &[&file]).unwrap_err().to_string();
    assert!(gone.contains("cannot be reached"), "{gone}");
}

/// Answers one request with this status; returns the request.
fn web(status: &str, client: impl FnOnce(String) + Send) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "http://{}/dicom-web/studies",
        listener.local_addr().unwrap()
    );
    thread::scope(|scope| {
        scope.spawn(|| client(address));
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut part) = (Vec::new(), [0; 4096]);
        while !request.ends_with(b"--\r\n") {
            let read = stream.read(&mut part).unwrap();
            request.extend(&part[..read]);
        }
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:1/\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
        request
    })
}

#[test]
fn one_request_holds_all_objects() {
    let files = [&b"first object"[..], &b"second\r\n--object"[..]];
    let request = web("200 OK", |address| {
        Archive::parse(&address)
            .unwrap()
            .send(&files, &speaking(20))
            .unwrap();
    });
    let text = String::from_utf8(request).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /dicom-web/studies HTTP/1.1"),
        "{head}"
    );
    let (_, boundary) = head.split_once("boundary=").unwrap();
    let boundary = boundary.lines().next().unwrap();
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4);
    for (part, file) in parts[1..3].iter().zip(files) {
        let (head, content) = part.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.trim(), "Content-Type: application/dicom");
        assert_eq!(content.as_bytes(), [file, b"\r\n"].concat());
    }
}

#[test]
fn a_web_archive_that_did_not_store_all_is_not_believed_to() {
    for (status, words) in [
        ("202 Accepted", "some of the objects"),
        ("409 Conflict", "HTTP 409"),
        ("401 Unauthorized", "HTTP 401"),
        // Nothing goes where it was not sent.
        ("307 Temporary Redirect", "HTTP 307"),
    ] {
        web(status, |address| {
            let archive = Archive::parse(&address).unwrap();
            let sentence = archive
                .send(&[b"object"], &speaking(20))
                .unwrap_err()
                .to_string();
            assert!(
                sentence.contains(words) && sentence.contains(&address),
                "{sentence}"
            );
        });
    }
}

#[test]
fn certificates_must_be_some() {
    let speaking = Speaking {
        authorities: Some(b"no certificate".to_vec()),
        ..speaking(1)
    };
    let archive = Archive::parse("https://127.0.0.1:1/studies").unwrap();
    let sentence = archive
        .send(&[b"object"], &speaking)
        .unwrap_err()
        .to_string();
    assert!(sentence.contains("dicom.ca_file"), "{sentence}");
}
