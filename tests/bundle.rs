//! Kits for machines without a network: made, carried, tampered with, installed.

use std::{
    fs::{self, File},
    io::{Cursor, Read},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use medfocus_tests::{Ran, bright_cell, built, medfocus, outside_plugin, run, workspace};
use minisign::KeyPair;
use serde_json::Value;
use tar::{Archive, Builder, EntryType, Header};
use tempfile::TempDir;

/// A folder with a small kit in it.
struct Kit(TempDir);

impl Kit {
    /// Of these plugins, and whatever else.
    fn new(plugins: &[PathBuf], more: &[&str]) -> Self {
        let kit = Self(tempfile::tempdir().unwrap());
        let made = run(&mut kit.create(plugins, more));
        assert_eq!(made.code, 0, "{made:?}");
        kit
    }

    /// Of one plugin, without libtorch.
    fn small() -> Self {
        Self::new(&[outside_plugin()], &["--without-libtorch"])
    }

    fn create(&self, plugins: &[PathBuf], more: &[&str]) -> Command {
        let mut command = medfocus();
        command
            .args(["bundle", "create"])
            .arg(self.tar())
            .args(more);
        let paths: Vec<_> = plugins
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        command.args(["--set", &format!("plugins.paths={paths:?}")]);
        command
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn tar(&self) -> PathBuf {
        self.at("kit.tar")
    }

    fn bundle(&self, verb: &str, more: &[&str]) -> Ran {
        run(medfocus().args(["bundle", verb]).arg(self.tar()).args(more))
    }

    fn install(&self, name: &str) -> Ran {
        self.bundle("install", &[&self.at(name).display().to_string()])
    }

    fn manifest(&self) -> Value {
        serde_json::from_slice(&fs::read(self.at("kit.json")).unwrap()).unwrap()
    }

    fn paths(&self) -> Vec<String> {
        let manifest = self.manifest();
        let files = manifest["files"].as_array().unwrap().iter();
        files
            .map(|file| file["path"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The files in the tar, names and bytes.
    fn entries(&self) -> Vec<(String, Vec<u8>)> {
        let mut archive = Archive::new(File::open(self.tar()).unwrap());
        let read = |entry: std::io::Result<tar::Entry<'_, File>>| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (
                String::from_utf8(entry.path_bytes().into_owned()).unwrap(),
                bytes,
            )
        };
        archive.entries().unwrap().map(read).collect()
    }

    /// Writes the tar anew, of these files.
    fn rewrite(&self, entries: &[(String, Vec<u8>)]) {
        self.write(entries, |_| {});
    }

    fn write(&self, entries: &[(String, Vec<u8>)], more: impl FnOnce(&mut Builder<File>)) {
        let mut tar = Builder::new(File::create(self.tar()).unwrap());
        for (name, bytes) in entries {
            let mut header = header(name, EntryType::Regular);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append(&header, bytes.as_slice()).unwrap();
        }
        more(&mut tar);
        tar.finish().unwrap();
    }

    /// Verifies and installs what is wrong: both say so, and nothing is left of it.
    #[track_caller]
    fn is_refused(&self, words: &[&str]) {
        self.bundle("verify", &[]).one_sentence(words);
        fs::create_dir_all(self.at("opt")).unwrap();
        self.install("opt/medfocus").one_sentence(words);
        assert_eq!(fs::read_dir(self.at("opt")).unwrap().count(), 0);
    }
}

/// A plugin in Python that offers nothing.
const SCRIPT: &str = r#"{
    "manifest": {"name": "b", "version": "1.0.0", "abi_epoch": 1, "target": "any", "api_version": "0.1.0", "components": []},
    "command": ["python3", "b.py"], "files": ["b.py"]
}"#;

/// The head of a file of whatever name, also one that no writer of tars would write.
fn header(name: &str, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(0);
    header.set_cksum();
    header
}

/// The program of a folder that was made of a kit, run there, with nothing else of this machine's.
fn installed(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(folder.join("medfocus"));
    command.current_dir(folder).env_clear().args(arguments);
    run(command.env("OMP_NUM_THREADS", "1"))
}

#[test]
fn what_is_installed_explains_the_demo_model() {
    let plugin = |name: &str| built().join(format!("plugins/libmedfocus_{name}.so"));
    let kit = Kit::new(
        &[plugin("model_gemma3"), plugin("method_perturbation")],
        &["--without-libtorch", "--model", "phantom-gemma3"],
    );
    let done = kit.install("opt/medfocus");
    assert_eq!(done.code, 0, "{done:?}");
    let folder = kit.at("opt/medfocus");
    let listed = installed(&folder, &["plugins", "list"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(
        listed
            .out
            .contains("medfocus-model-gemma3 0.1.0 (beside the program)"),
        "{listed:?}"
    );
    // Half a gigabyte that another test need not copy.
    let libtorch = workspace().join(".libtorch");
    if !libtorch.is_dir() {
        return;
    }
    symlink(libtorch, folder.join(".libtorch")).unwrap();
    let image = bright_cell(kit.0.path(), 2, 5).display().to_string();
    let out = kit.at("out").display().to_string();
    let explained = installed(
        &folder,
        &[
            "attribute",
            "--model",
            "phantom-gemma3",
            "--method",
            "occlusion",
            "--set",
            "cells=2",
            "--image",
            &image,
            "--out",
            &out,
            "--question",
            "Is there evidence of a pneumothorax?",
        ],
    );
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(kit.at("out/attribution.json").is_file());
    let doctor = installed(&folder, &["doctor"]);
    let folder = folder.canonicalize().unwrap();
    assert!(
        doctor.out.contains("ok   plugin medfocus-model-gemma3"),
        "{doctor:?}"
    );
    assert!(!doctor.out.contains("FAIL plugin"), "{doctor:?}");
    let file = fs::read_to_string(folder.join("configs/models/phantom-gemma3.toml")).unwrap();
    assert!(file.contains("\"../checkpoints/phantom-gemma3\""), "{file}");
}

#[test]
fn a_kit_holds_what_was_asked_for_and_says_so() {
    let place = tempfile::tempdir().unwrap();
    let torch = place.path().join("torch");
    fs::create_dir_all(torch.join("lib")).unwrap();
    fs::create_dir_all(place.path().join("nvidia/cu13/include")).unwrap();
    fs::create_dir_all(place.path().join("p")).unwrap();
    fs::copy(outside_plugin(), place.path().join("p/a.so")).unwrap();
    for (path, text) in [
        ("torch/lib/libtorch_cpu.so", "a stand-in"),
        ("torch/build-version", "2.13.0+cpu\n"),
        ("nvidia/cu13/libcudart.so.13", "another"),
        ("nvidia/cu13/include/cuda.h", "no library"),
        ("hospital.toml", "seed = 3\n"),
        ("p/a.so.minisig", "a signature, of whatever"),
        ("p/b.medfocus.json", SCRIPT),
        ("p/b.py", "print(1)\n"),
        ("p/c.py", "of no plugin"),
    ] {
        fs::write(place.path().join(path), text).unwrap();
    }
    let config = format!(
        "medfocus.toml={}",
        place.path().join("hospital.toml").display()
    );
    let torch = format!("libtorch.dir={}", torch.display());
    let more = ["--add", &config, "--set", &torch];
    let plugins = [place.path().join("p")];
    let kit = Kit::new(&plugins, &more);
    assert_eq!(
        kit.paths(),
        [
            ".libtorch/nvidia/cu13/libcudart.so.13",
            ".libtorch/torch/build-version",
            ".libtorch/torch/lib/libtorch_cpu.so",
            "medfocus",
            "medfocus.toml",
            "plugins/a.so",
            "plugins/a.so.minisig",
            "plugins/b.medfocus.json",
            "plugins/b.py",
            "sbom.cdx.json",
        ]
    );
    assert_eq!(kit.manifest()["libtorch"], "2.13.0+cpu");
    let first = fs::read(kit.tar()).unwrap();
    assert_eq!(run(&mut kit.create(&plugins, &more)).code, 0);
    assert!(
        first == fs::read(kit.tar()).unwrap(),
        "the same files make the same kit"
    );

    let verified = kit.bundle("verify", &[]);
    assert_eq!(
        (verified.code, verified.out.as_str()),
        (0, "whole: 10 files; no signature was asked for\n")
    );
    assert_eq!(kit.install("opt").code, 0);
    for path in kit.paths() {
        let mode = kit
            .at("opt")
            .join(&path)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o111 != 0, path == "medfocus", "{path}: {mode:o}");
    }
    let library = kit.at("opt/.libtorch/torch/lib/libtorch_cpu.so");
    assert_eq!(fs::read(library).unwrap(), b"a stand-in");
    assert_eq!(
        fs::read(kit.at("opt/medfocus")).unwrap(),
        fs::read(built().join("medfocus")).unwrap()
    );
    // Nothing that is there is touched.
    kit.install("opt")
        .one_sentence(&["is there and is no empty folder"]);

    let bill: Value =
        serde_json::from_slice(&fs::read(kit.at("opt/sbom.cdx.json")).unwrap()).unwrap();
    assert_eq!(
        (&bill["bomFormat"], &bill["specVersion"]),
        (&"CycloneDX".into(), &"1.6".into())
    );
    let components = bill["components"].as_array().unwrap();
    let one = |name: &str| components.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(one("libtorch")["version"], "2.13.0+cpu");
    assert_eq!(one("medfocus-outside")["hashes"][0]["alg"], "BLAKE3");
    let serde = one("serde");
    assert_eq!(
        serde["purl"],
        format!("pkg:cargo/serde@{}", serde["version"].as_str().unwrap())
    );
    assert_eq!(serde["hashes"][0]["content"].as_str().unwrap().len(), 64);
    let mut names: Vec<_> = components
        .iter()
        .map(|one| one["bom-ref"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert!(
        names.windows(2).all(|pair| pair[0] != pair[1]),
        "each is there once"
    );
}

#[test]
fn what_cannot_go_into_a_kit_is_said() {
    let kit = Kit::small();
    let create = |more: &[&str]| run(&mut kit.create(&[outside_plugin()], more));
    let without = "--without-libtorch";
    create(&[without, "--model", "phantom"]).one_sentence(&["there is no model phantom.toml"]);
    create(&[without, "--model", "gemma3_4b"])
        .one_sentence(&["checkpoint of `gemma3_4b` is not in"]);
    create(&[without, "--add", "a"]).one_sentence(&["--add PATH=FILE"]);
    create(&[without, "--add", "a=/nowhere"]).one_sentence(&["/nowhere"]);
    create(&[without, "--add", "../a=Cargo.toml"]).one_sentence(&["`../a`"]);
    create(&[without, "--add", "medfocus=Cargo.toml"])
        .one_sentence(&["two files would be medfocus"]);
    let mut command = medfocus();
    command
        .args(["bundle", "create", without])
        .arg(kit.at("kit.zip"));
    run(&mut command).one_sentence(&["does not end in .tar"]);
}

#[test]
fn a_kit_that_was_tampered_with_installs_nothing() {
    let kit = Kit::small();
    let good = kit.entries();
    kit.rewrite(&good);
    assert_eq!(kit.bundle("verify", &[]).code, 0);

    let mut entries = good.clone();
    entries.pop();
    kit.rewrite(&entries);
    kit.is_refused(&["kit.tar", "sbom.cdx.json is missing"]);
    let mut entries = good.clone();
    entries.remove(1);
    kit.rewrite(&entries);
    kit.is_refused(&["medfocus is missing"]);
    let mut entries = good.clone();
    entries[2].1[100] ^= 1;
    kit.rewrite(&entries);
    kit.is_refused(&["plugins/libmedfocus_outside.so was changed"]);
    let mut entries = good.clone();
    entries[2].1.pop();
    kit.rewrite(&entries);
    kit.is_refused(&["plugins/libmedfocus_outside.so was changed or cut short"]);
    let mut entries = good.clone();
    entries.push(("plugins/more.so".to_owned(), b"more".to_vec()));
    kit.rewrite(&entries);
    kit.is_refused(&["plugins/more.so is not in its manifest"]);
    let mut entries = good.clone();
    entries.push(good[2].clone());
    kit.rewrite(&entries);
    kit.is_refused(&["plugins/libmedfocus_outside.so is not in its manifest"]);
    kit.rewrite(&good[1..]);
    kit.is_refused(&["does not begin with a manifest"]);
    fs::write(kit.tar(), "no tar at all").unwrap();
    kit.is_refused(&["does not begin with a manifest"]);

    kit.rewrite(&good);
    let whole = fs::read(kit.tar()).unwrap();
    fs::write(kit.tar(), &whole[..whole.len() / 2]).unwrap();
    kit.is_refused(&["kit.tar"]);
}

#[test]
fn nothing_in_a_kit_leads_out_of_it() {
    let kit = Kit::small();
    let good = kit.entries();
    // Its manifest names it, too, by its right digest.
    for path in [
        "../evil",
        "/tmp/evil",
        "plugins/../../evil",
        "manifest.json",
    ] {
        let mut entries = good.clone();
        let mut manifest: Value = serde_json::from_slice(&entries[0].1).unwrap();
        let digest = blake3::hash(b"evil").to_hex().to_string();
        let entry = serde_json::json!({"path": path, "size": 4, "blake3": digest});
        manifest["files"].as_array_mut().unwrap().push(entry);
        entries[0].1 = serde_json::to_vec(&manifest).unwrap();
        entries.push((path.to_owned(), b"evil".to_vec()));
        kit.rewrite(&entries);
        kit.is_refused(&[path, "no file in a kit can be called"]);
        assert!(!kit.at("evil").exists() && !Path::new("/tmp/evil").exists());
    }
    let kinds = [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Fifo,
        EntryType::Directory,
    ];
    for kind in kinds {
        // A file of the manifest that is none, and one that comes first so that others lie behind it.
        for (at, name) in [(2, "plugins/libmedfocus_outside.so"), (1, "plugins")] {
            let (before, rest) = good.split_at(at);
            kit.write(before, |tar| {
                let mut odd = header(name, kind);
                odd.set_link_name("/tmp").unwrap();
                odd.set_device_major(1).unwrap();
                odd.set_device_minor(3).unwrap();
                odd.set_cksum();
                tar.append(&odd, std::io::empty()).unwrap();
                for (name, bytes) in rest {
                    let mut header = header(name, EntryType::Regular);
                    header.set_size(bytes.len() as u64);
                    header.set_cksum();
                    tar.append(&header, bytes.as_slice()).unwrap();
                }
            });
            kit.is_refused(&[name, "is a link, a folder or a device"]);
        }
    }
}

#[test]
fn a_signature_is_of_the_manifest_and_so_of_all() {
    let kit = Kit::small();
    let keys = || KeyPair::generate_unencrypted_keypair().unwrap();
    let (ours, theirs) = (keys(), keys());
    let sign = |keys: &KeyPair| {
        let bytes = Cursor::new(fs::read(kit.at("kit.json")).unwrap());
        let signed = minisign::sign(Some(&keys.pk), &keys.sk, bytes, None, None).unwrap();
        fs::write(kit.at("kit.json.minisig"), signed.to_string()).unwrap();
    };
    let key = ours.pk.to_base64();
    let verify = || kit.bundle("verify", &["--key", &key]);
    verify().one_sentence(&["kit.tar: is not signed", "kit.json.minisig"]);
    sign(&theirs);
    verify().one_sentence(&["is signed by a key that --key does not list"]);
    sign(&ours);
    let verified = verify();
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(
        verified.out.ends_with("signed by `--key`\n"),
        "{verified:?}"
    );
    kit.bundle("verify", &["--key", "nonsense"])
        .one_sentence(&["no public key of minisign"]);

    // By a trust file, and still when it is installed.
    let trust = kit.at("trust.toml");
    fs::write(
        &trust,
        format!("mode = \"signed\"\n[keys]\nit = \"{key}\"\n"),
    )
    .unwrap();
    fs::set_permissions(&trust, fs::Permissions::from_mode(0o644)).unwrap();
    let trust = format!("plugins.trust={}", trust.display());
    let folder = kit.at("opt/medfocus").display().to_string();
    let done = kit.bundle("install", &[&folder, "--set", &trust]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.ends_with("; signed by `it`\n"), "{done:?}");
    let again = || run(medfocus().args(["bundle", "verify", &folder, "--set", &trust]));
    assert_eq!(again().code, 0, "{:?}", again());
    fs::write(kit.at("opt/medfocus/manifest.json"), "{}").unwrap();
    again().one_sentence(&["is not what `it` signed"]);

    // A file with another manifest that fits it.
    let mut entries = kit.entries();
    let mut manifest: Value = serde_json::from_slice(&entries[0].1).unwrap();
    entries[1].1.push(0);
    manifest["files"][0]["size"] = entries[1].1.len().into();
    manifest["files"][0]["blake3"] = blake3::hash(&entries[1].1).to_hex().to_string().into();
    entries[0].1 = serde_json::to_vec(&manifest).unwrap();
    kit.rewrite(&entries);
    assert_eq!(kit.bundle("verify", &[]).code, 0);
    verify().one_sentence(&["is not what `--key` signed"]);
    let other = kit.at("other").display().to_string();
    kit.bundle("install", &[&other, "--set", &trust])
        .one_sentence(&["is not what `it` signed"]);
    assert!(!kit.at("other").exists());
}

#[test]
fn a_folder_that_was_installed_is_verified_like_a_kit() {
    let kit = Kit::small();
    assert_eq!(kit.install("opt").code, 0);
    let folder = kit.at("opt");
    let verify = || run(medfocus().args(["bundle", "verify"]).arg(&folder));
    assert_eq!(verify().code, 0, "{:?}", verify());
    fs::write(folder.join("plugins/more.so"), "more").unwrap();
    verify().one_sentence(&["plugins/more.so is not in its manifest"]);
    fs::remove_file(folder.join("plugins/more.so")).unwrap();
    let plugin = folder.join("plugins/libmedfocus_outside.so");
    let whole = fs::read(&plugin).unwrap();
    fs::write(&plugin, [&whole[..], b"!"].concat()).unwrap();
    verify().one_sentence(&["plugins/libmedfocus_outside.so was changed"]);
    fs::remove_file(&plugin).unwrap();
    verify().one_sentence(&["plugins/libmedfocus_outside.so is missing"]);
    symlink(outside_plugin(), &plugin).unwrap();
    verify().one_sentence(&["plugins/libmedfocus_outside.so is a link"]);
}

#[test]
fn a_full_disk_leaves_nothing() {
    let kit = Kit::small();
    let small = kit.at("small");
    fs::create_dir(&small).unwrap();
    // A disk of one megabyte, if the kernel lets this user have one.
    let script = "mount -t tmpfs -o size=1m tmpfs \"$0\" || exit 77; \"$@\"; code=$?; ls -A \"$0\"; exit $code";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(&small)
        .arg(built().join("medfocus"))
        .args(["bundle", "install"])
        .arg(kit.tar())
        .arg(small.join("medfocus"))
        .current_dir(workspace());
    let ran = run(&mut command);
    if ran.code == 1 || ran.code == 77 {
        return;
    }
    ran.one_sentence(&["No space left on device", "free some space"]);
    assert_eq!(ran.out, "", "{ran:?}");
}
