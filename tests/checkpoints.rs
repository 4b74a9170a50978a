//! `medfocus model check` on the layouts of the six published checkpoints, whole and damaged.
//!
//! The weights are files without numbers: their headers are those of the real ones, what follows takes no room on the disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::read::GzDecoder;
use medfocus_tests::{Ran, medfocus, run, workspace};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

const PUBLISHED: [(&str, &str); 6] = [
    ("gemma3_4b", "4300079472"),
    ("gemma3_12b", "12187325040"),
    ("medgemma_4b", "4300079472"),
    ("medgemma1_5_4b", "4300079472"),
    ("qwen2_5_vl_3b", "3754622976"),
    ("qwen2_5_vl_7b", "8292166656"),
];

/// Where a family's special tokens lie, by their ids in the fixture's tokenizer and in the published ones.
const GEMMA: &[(u64, u64)] = &[(4, 105), (5, 106), (6, 255_999), (7, 256_000), (8, 262_144)];
const QWEN: &[(&str, u64)] = &[
    ("<|endoftext|>", 151_643),
    ("<|im_start|>", 151_644),
    ("<|im_end|>", 151_645),
    ("<|vision_start|>", 151_652),
    ("<|vision_end|>", 151_653),
    ("<|image_pad|>", 151_655),
    ("<|video_pad|>", 151_656),
];

fn fixtures() -> PathBuf {
    workspace().join("tests/fixtures")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn write(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

/// A checkpoint folder in the layout of a published one.
struct Folder {
    temporary: TempDir,
    gemma: bool,
}

impl Folder {
    fn new(name: &str) -> Self {
        let packed = File::open(fixtures().join(format!("layouts/{name}.json.gz"))).unwrap();
        let layout: Value = serde_json::from_reader(GzDecoder::new(packed)).unwrap();
        let folder = Self {
            temporary: tempfile::tempdir().unwrap(),
            gemma: name.contains("gemma"),
        };
        write(&folder.path("config.json"), &layout["config"]);
        folder.write_weights(&layout["tensors"]);
        folder.write_rest();
        folder
    }

    fn path(&self, file: &str) -> PathBuf {
        self.temporary.path().join(file)
    }

    /// Two shards and their index, as published.
    fn write_weights(&self, tensors: &Value) {
        let tensors = tensors.as_object().unwrap();
        let mut map = Map::new();
        let half = tensors.len() / 2;
        for (number, part) in [0..half, half..tensors.len()].into_iter().enumerate() {
            let file = format!("model-0000{}-of-00002.safetensors", number + 1);
            let part: BTreeMap<_, _> = tensors.iter().skip(part.start).take(part.len()).collect();
            for name in part.keys() {
                map.insert((*name).clone(), file.clone().into());
            }
            write_shard(&self.path(&file), &part);
        }
        write(
            &self.path("model.safetensors.index.json"),
            &json!({"weight_map": map}),
        );
    }

    /// Tokenizer, chat template and image processor.
    fn write_rest(&self) {
        let family = if self.gemma { "gemma3" } else { "qwen2_5_vl" };
        let source = fixtures().join(family).join("hub");
        for file in ["chat_template.jinja", "tokenizer_config.json"] {
            fs::copy(source.join(file), self.path(file)).unwrap();
        }
        let mut tokenizer = read(&source.join("tokenizer.json"));
        let moved = |id: &Value, text: &str| -> u64 {
            let id = id.as_u64().unwrap();
            let special = if self.gemma {
                GEMMA
                    .iter()
                    .find(|(from, _)| *from == id)
                    .map(|(_, to)| *to)
            } else {
                QWEN.iter()
                    .find(|(mark, _)| *mark == text)
                    .map(|(_, to)| *to)
            };
            match special {
                Some(id) => id,
                // Out of the way of Gemma's marks.
                None if self.gemma && id > 8 => id + 1000,
                None => id,
            }
        };
        for (text, id) in tokenizer["model"]["vocab"].as_object_mut().unwrap() {
            *id = moved(id, text).into();
        }
        let marks: Vec<Value> = tokenizer["added_tokens"].as_array().unwrap().clone();
        for (at, mark) in marks.iter().enumerate() {
            let text = mark["content"].as_str().unwrap();
            let id = moved(&mark["id"], text);
            tokenizer["added_tokens"][at]["id"] = id.into();
            tokenizer["model"]["vocab"][text] = id.into();
        }
        write(&self.path("tokenizer.json"), &tokenizer);
        let mut processor = read(&source.join("preprocessor_config.json"));
        if self.gemma {
            processor["size"] = json!({"height": 896, "width": 896});
        }
        write(&self.path("preprocessor_config.json"), &processor);
    }

    /// Changes a JSON file.
    fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut value = read(&self.path(file));
        change(&mut value);
        write(&self.path(file), &value);
    }

    /// Changes a shard's header.
    fn edit_shard(&self, change: impl FnOnce(&mut Map<String, Value>)) {
        let path = self.path(SHARD);
        let bytes = read_header(&path);
        let mut header: Map<String, Value> = serde_json::from_slice(&bytes).unwrap();
        change(&mut header);
        let length = fs::metadata(&path).unwrap().len() - 8 - bytes.len() as u64;
        write_header(&path, &header, length);
    }

    fn check(&self) -> Ran {
        run(medfocus()
            .args(["model", "check"])
            .arg(self.temporary.path()))
    }
}

const SHARD: &str = "model-00001-of-00002.safetensors";
const OTHER: &str = "model-00002-of-00002.safetensors";

fn write_shard(path: &Path, tensors: &BTreeMap<&String, &Value>) {
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let sides = shape.as_array().unwrap().iter();
        let bytes = 2 * sides.map(|side| side.as_u64().unwrap()).product::<u64>();
        let offsets = [end, end + bytes];
        header.insert(
            (*name).clone(),
            json!({"dtype": "BF16", "shape": shape, "data_offsets": offsets}),
        );
        end += bytes;
    }
    write_header(path, &header, end);
}

/// A header, and so many bytes after it that are not written.
fn write_header(path: &Path, header: &Map<String, Value>, data: u64) {
    let text = serde_json::to_vec(header).unwrap();
    let mut file = File::create(path).unwrap();
    file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&text).unwrap();
    file.set_len(8 + text.len() as u64 + data).unwrap();
}

fn read_header(path: &Path) -> Vec<u8> {
    use std::io::Read;
    let mut file = File::open(path).unwrap();
    let mut length = [0; 8];
    file.read_exact(&mut length).unwrap();
    let mut header = vec![0; u64::from_le_bytes(length) as usize];
    file.read_exact(&mut header).unwrap();
    header
}

#[test]
fn the_six_published_layouts_are_whole() {
    for (name, parameters) in PUBLISHED {
        let folder = Folder::new(name);
        let begin = Instant::now();
        let ran = folder.check();
        println!("{name}: {:.1?}", begin.elapsed());
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(ran.out.contains("is whole"), "{ran:?}");
        assert!(ran.out.contains(parameters), "{ran:?}");
        // By its name, from any folder: it is the one that the name means.
        let set = format!("model.path={}", folder.temporary.path().display());
        let named = run(medfocus().args(["model", "check", name, "--set", &set]));
        assert_eq!(named.code, 0, "{named:?}");
    }
}

#[test]
fn another_size_than_the_name_means_is_said() {
    let folder = Folder::new("qwen2_5_vl_7b");
    let set = format!("model.path={}", folder.temporary.path().display());
    let ran = run(medfocus().args(["model", "check", "qwen2_5_vl_3b", "--set", &set]));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("it is another one"), "{ran:?}");
}

#[test]
fn how_to_get_a_checkpoint_is_said_where_it_is_not_there() {
    let ran = run(medfocus().args(["model", "check", "medgemma_4b"]));
    assert_eq!(ran.code, 1, "{ran:?}");
    for words in [
        "accept its licence at https://huggingface.co/google/medgemma-4b-it",
        "hf download google/medgemma-4b-it --local-dir",
        "8.6 GB",
    ] {
        assert!(ran.out.contains(words), "no `{words}` in {ran:?}");
    }
}

#[test]
fn each_fault_is_named() {
    type Damage = fn(&Folder);
    let faults: [(&str, &[&str], Damage); 15] = [
        ("gemma3_4b", &["config.json"], |folder| {
            fs::remove_file(folder.path("config.json")).unwrap();
        }),
        ("gemma3_4b", &[OTHER, "1 of the 2 files"], |folder| {
            fs::remove_file(folder.path(OTHER)).unwrap();
        }),
        ("qwen2_5_vl_3b", &[SHARD, "truncated"], |folder| {
            let file = File::options().write(true).open(folder.path(SHARD));
            file.unwrap().set_len(100_000_000).unwrap();
        }),
        (
            "qwen2_5_vl_3b",
            &["model.norm.weight", "not there"],
            |folder| {
                folder.edit("model.safetensors.index.json", |index| {
                    index["weight_map"]["model.norm.weight"] = OTHER.into();
                });
                folder.edit_shard(|header| drop(header.remove("model.norm.weight")));
                folder.edit("model.safetensors.index.json", |index| {
                    index["weight_map"]["model.norm.weight"] = SHARD.into();
                });
            },
        ),
        (
            "qwen2_5_vl_7b",
            &["model.layers.0.mlp.up_proj.weight", "missing"],
            |folder| {
                folder.edit("model.safetensors.index.json", |index| {
                    let map = index["weight_map"].as_object_mut().unwrap();
                    map.remove("model.layers.0.mlp.up_proj.weight").unwrap();
                });
            },
        ),
        (
            "gemma3_12b",
            &["[3840, 4096]", "self_attn.o_proj.weight"],
            |folder| {
                folder.edit_shard(|header| {
                    let (_, tensor) = header
                        .iter_mut()
                        .find(|(name, _)| name.ends_with("self_attn.o_proj.weight"))
                        .unwrap();
                    tensor["shape"] = json!([4096, 3840]);
                });
            },
        ),
        ("gemma3_4b", &["quantised", "U8"], |folder| {
            folder.edit_shard(|header| {
                let (_, tensor) = header
                    .iter_mut()
                    .find(|(name, _)| name.ends_with("mlp.down_proj.weight"))
                    .unwrap();
                let shape = tensor["shape"].as_array().unwrap().clone();
                let doubled = shape[0].as_u64().unwrap() * 2;
                tensor["shape"] = json!([doubled, shape[1]]);
                tensor["dtype"] = "U8".into();
            });
        }),
        // The configuration of the larger one.
        ("medgemma_4b", &["other tensors"], |folder| {
            folder.edit("config.json", |config| {
                config["text_config"]["hidden_size"] = 3840.into();
            });
        }),
        // A shallower configuration: the rest would be left over.
        ("qwen2_5_vl_3b", &["have no place"], |folder| {
            folder.edit("config.json", |config| {
                config["num_hidden_layers"] = 35.into()
            });
        }),
        (
            "medgemma1_5_4b",
            &["tokenizer.json", "cannot be read"],
            |folder| {
                fs::remove_file(folder.path("tokenizer.json")).unwrap();
            },
        ),
        ("qwen2_5_vl_3b", &["no token 151655"], |folder| {
            let source = fixtures().join("qwen2_5_vl/hub/tokenizer.json");
            fs::copy(source, folder.path("tokenizer.json")).unwrap();
        }),
        ("gemma3_4b", &["no chat template"], |folder| {
            fs::remove_file(folder.path("chat_template.jinja")).unwrap();
        }),
        (
            "gemma3_4b",
            &["preprocessor_config.json", "448 x 448"],
            |folder| {
                folder.edit("preprocessor_config.json", |processor| {
                    processor["size"] = json!({"height": 448, "width": 448});
                });
            },
        ),
        (
            "qwen2_5_vl_7b",
            &["config.json", "mrope_section"],
            |folder| {
                folder.edit("config.json", |config| config["rope_scaling"] = Value::Null);
            },
        ),
        ("gemma3_4b", &["git", "lfs"], |folder| {
            let pointer = format!(
                "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 4961251752\n",
                "0".repeat(64)
            );
            fs::write(folder.path(SHARD), pointer).unwrap();
        }),
    ];
    for (name, words, damage) in faults {
        let folder = Folder::new(name);
        damage(&folder);
        let ran = folder.check();
        assert_eq!(ran.code, 1, "{words:?}: {ran:?}");
        assert_eq!(ran.out.trim().lines().count(), 1, "{ran:?}");
        for word in words {
            assert!(ran.out.contains(word), "no `{word}` in {ran:?}");
        }
    }
}

#[test]
fn a_folder_of_no_known_architecture_is_said_to_be_that() {
    let folder = Folder::new("gemma3_4b");
    folder.edit("config.json", |config| {
        config["model_type"] = "llava".into()
    });
    let ran = folder.check();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("llava"), "{ran:?}");
}

#[test]
fn what_was_only_looked_at_answers_nothing() {
    let folder = Folder::new("qwen2_5_vl_3b");
    let model = format!("qwen2_5_vl={}", folder.temporary.path().display());
    let image = workspace().join("docs/pictures/medfocus.png");
    let ran = run(medfocus()
        .args([
            "model",
            "generate",
            "--model",
            &model,
            "--question",
            "Is it?",
        ])
        .arg("--image")
        .arg(image)
        .args(["--set", "model.inspect=true"]));
    ran.one_sentence(&["inspect"]);
    let info = run(medfocus().args(["model", "info", "--model", &model]));
    assert_eq!(info.code, 0, "{info:?}");
    assert!(info.out.contains("8 x 8 image tokens"), "{info:?}");
}
