//! What a plugin says about itself, readable without running it.
//!
//! [`export_plugin!`](crate::export_plugin!) renders the declaration to JSON at compile time and
//! places it in the library's `.medfocus.manifest` section, so it cannot drift from the code.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::abi;

/// Section of the library that holds the manifest.
pub const SECTION: &str = ".medfocus.manifest";

/// Machine, system and C library the code runs on, as `x86_64-linux-gnu`.
pub const TARGET: &[&str] = &[
    std::env::consts::ARCH,
    "-",
    std::env::consts::OS,
    "-",
    TARGET_ENV,
];
const TARGET_ENV: &str = if cfg!(target_env = "musl") {
    "musl"
} else if cfg!(target_env = "gnu") {
    "gnu"
} else {
    "any"
};

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`AttributionMethod`](crate::AttributionMethod).
    Method,
    /// [`VisionLanguageModel`](crate::VisionLanguageModel).
    Model,
    /// [`DatasetReader`](crate::DatasetReader).
    Dataset,
    /// [`CounterfactualEditor`](crate::CounterfactualEditor).
    Editor,
    /// [`Segmenter`](crate::Segmenter).
    Segmenter,
    /// [`Detector`](crate::Detector).
    Detector,
}

impl Kind {
    /// Its name in configs and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Editor => "editor",
            Self::Segmenter => "segmenter",
            Self::Detector => "detector",
        }
    }

    /// Its name in a sentence.
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::Method => "a method",
            Self::Model => "a model",
            Self::Dataset => "a dataset",
            Self::Editor => "an editor",
            Self::Segmenter => "a segmenter",
            Self::Detector => "a detector",
        }
    }
}

/// What a model backend can do; a method names what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// Answers questions.
    Generate,
    /// Scores given answers.
    Score,
    /// Shows attention maps and hidden states.
    Trace,
    /// Shows gradients.
    Gradient,
    /// Shows relevance, by a modified backward pass.
    Relevance,
    /// Something that only a later version of this crate knows; no method of this one can ask for it.
    #[serde(
        untagged,
        deserialize_with = "crate::protocol::unknown_to_this_version"
    )]
    Unknown,
}

impl Ability {
    /// Its name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Score => "score",
            Self::Trace => "trace",
            Self::Gradient => "gradient",
            Self::Relevance => "relevance",
            Self::Unknown => "do what only a later version knows",
        }
    }
}

/// A place that the config fills with another component.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Name in the config, by convention the kind's.
    pub name: &'static str,
    /// What fits.
    pub kind: Kind,
    /// Whether the component works without.
    pub required: bool,
    /// What a model in it must offer.
    pub abilities: &'static [Ability],
}

impl Slot {
    /// The model, which must offer these abilities.
    pub const fn model(abilities: &'static [Ability]) -> Self {
        Self {
            name: "model",
            kind: Kind::Model,
            required: true,
            abilities,
        }
    }

    /// A slot that must be filled.
    pub const fn required(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: true,
            abilities: &[],
        }
    }

    /// A slot that may stay empty.
    pub const fn optional(name: &'static str, kind: Kind) -> Self {
        Self {
            required: false,
            ..Self::required(name, kind)
        }
    }
}

/// The manifest as the host reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the plugin's crate.
    pub name: String,
    /// Its version.
    pub version: String,
    /// [`abi::EPOCH`] it was built for.
    pub abi_epoch: u32,
    /// [`TARGET`] it was built for.
    pub target: String,
    /// Version of this crate it was built with; for information only.
    pub api_version: String,
    /// Version of libtorch it links, if any.
    #[serde(default)]
    pub libtorch: Option<String>,
    /// Whether it opens the network.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// What it offers.
    pub components: Vec<ComponentManifest>,
}

/// One component in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentManifest {
    /// What it is.
    pub kind: Kind,
    /// Its name in configs.
    pub name: String,
    /// One line on what it does, with its source.
    pub summary: String,
    /// What it needs.
    #[serde(default)]
    pub slots: Vec<SlotManifest>,
    /// What it can do, for a model.
    #[serde(default)]
    pub abilities: Vec<Ability>,
    /// JSON Schema of its parameters, defaults included.
    pub params: Value,
}

/// A [`Slot`] in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotManifest {
    /// Name in the config.
    pub name: String,
    /// What fits.
    pub kind: Kind,
    /// Whether it must be filled.
    pub required: bool,
    /// What a model in it must offer.
    #[serde(default)]
    pub abilities: Vec<Ability>,
}

/// Rendering at compile time, for [`export_plugin!`](crate::export_plugin!).
#[doc(hidden)]
pub mod render {
    use super::{Ability, Kind, Slot, TARGET, abi};
    use crate::params::{Field, Type};

    pub struct Plugin {
        pub name: &'static str,
        pub version: &'static str,
        pub libtorch: Option<&'static str>,
        pub network: bool,
        pub components: &'static [Component],
    }

    pub struct Component {
        pub kind: Kind,
        pub name: &'static str,
        pub summary: &'static str,
        pub slots: &'static [Slot],
        pub abilities: &'static [Ability],
        pub fields: &'static [Field],
    }

    /// Bytes that [`json`] will write.
    pub const fn length(plugin: &Plugin) -> usize {
        let mut writer = Writer {
            out: &mut [],
            at: 0,
        };
        writer.plugin(plugin);
        writer.at
    }

    /// The manifest as JSON; `N` is its [`length`].
    pub const fn json<const N: usize>(plugin: &Plugin) -> [u8; N] {
        let mut out = [0; N];
        let mut writer = Writer {
            out: &mut out,
            at: 0,
        };
        writer.plugin(plugin);
        out
    }

    /// Counts what does not fit, so that one pass measures and a second one writes.
    struct Writer<'a> {
        out: &'a mut [u8],
        at: usize,
    }

    impl Writer<'_> {
        const fn byte(&mut self, byte: u8) {
            if self.at < self.out.len() {
                self.out[self.at] = byte;
            }
            self.at += 1;
        }

        const fn raw(&mut self, text: &str) {
            let bytes = text.as_bytes();
            let mut i = 0;
            while i < bytes.len() {
                self.byte(bytes[i]);
                i += 1;
            }
        }

        /// The text inside a JSON string.
        const fn escaped(&mut self, text: &str) {
            let bytes = text.as_bytes();
            let mut i = 0;
            while i < bytes.len() {
                match bytes[i] {
                    b'"' | b'\\' => {
                        self.byte(b'\\');
                        self.byte(bytes[i]);
                    }
                    // Control characters only come from line breaks and tabs in doc comments.
                    0..=31 => self.byte(b' '),
                    byte => self.byte(byte),
                }
                i += 1;
            }
        }

        const fn string(&mut self, text: &str) {
            self.byte(b'"');
            self.escaped(text);
            self.byte(b'"');
        }

        const fn key(&mut self, key: &str) {
            self.string(key);
            self.byte(b':');
        }

        const fn comma(&mut self, index: usize) {
            if index > 0 {
                self.byte(b',');
            }
        }

        const fn abilities(&mut self, abilities: &[Ability]) {
            self.key("abilities");
            self.byte(b'[');
            let mut i = 0;
            while i < abilities.len() {
                self.comma(i);
                self.string(abilities[i].name());
                i += 1;
            }
            self.byte(b']');
        }

        const fn ty(&mut self, ty: &Type, nullable: bool) {
            let name = match ty {
                Type::Bool => "boolean",
                Type::Integer => "integer",
                Type::Number => "number",
                Type::Text | Type::Choice(_) => "string",
                Type::Optional(inner) => return self.ty(inner, true),
            };
            self.key("type");
            if nullable {
                self.byte(b'[');
                self.string(name);
                self.raw(",\"null\"]");
            } else {
                self.string(name);
            }
            if let Type::Choice(names) = ty {
                self.raw(",\"enum\":[");
                let mut i = 0;
                while i < names.len() {
                    self.comma(i);
                    self.string(names[i]);
                    i += 1;
                }
                if nullable {
                    self.raw(",null");
                }
                self.byte(b']');
            }
        }

        const fn fields(&mut self, fields: &[Field]) {
            self.raw(
                "\"params\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{",
            );
            let mut i = 0;
            while i < fields.len() {
                let field = &fields[i];
                self.comma(i);
                self.key(field.name);
                self.byte(b'{');
                self.ty(&field.ty, false);
                self.raw(",\"description\":\"");
                self.escaped(field.doc.trim_ascii());
                self.raw("\",\"default\":");
                self.raw(field.default);
                if let Some((low, high)) = field.range {
                    self.raw(",\"minimum\":");
                    self.raw(low);
                    self.raw(",\"maximum\":");
                    self.raw(high);
                }
                self.byte(b'}');
                i += 1;
            }
            self.raw("}}");
        }

        const fn component(&mut self, component: &Component) {
            self.byte(b'{');
            self.key("kind");
            self.string(component.kind.name());
            self.raw(",\"name\":");
            self.string(component.name);
            self.raw(",\"summary\":");
            self.string(component.summary);
            self.raw(",\"slots\":[");
            let mut i = 0;
            while i < component.slots.len() {
                let slot = &component.slots[i];
                self.comma(i);
                self.raw("{\"name\":");
                self.string(slot.name);
                self.raw(",\"kind\":");
                self.string(slot.kind.name());
                self.raw(",\"required\":");
                self.raw(if slot.required { "true" } else { "false" });
                self.byte(b',');
                self.abilities(slot.abilities);
                self.byte(b'}');
                i += 1;
            }
            self.raw("],");
            self.abilities(component.abilities);
            self.byte(b',');
            self.fields(component.fields);
            self.byte(b'}');
        }

        const fn plugin(&mut self, plugin: &Plugin) {
            self.raw("{\"name\":");
            self.string(plugin.name);
            self.raw(",\"version\":");
            self.string(plugin.version);
            self.raw(",\"abi_epoch\":");
            self.number(abi::EPOCH);
            self.raw(",\"target\":\"");
            let mut i = 0;
            while i < TARGET.len() {
                self.raw(TARGET[i]);
                i += 1;
            }
            self.raw("\",\"api_version\":");
            self.string(env!("CARGO_PKG_VERSION"));
            if let Some(version) = plugin.libtorch {
                self.raw(",\"libtorch\":");
                self.string(version);
            }
            if plugin.network {
                self.raw(",\"network\":true");
            }
            self.raw(",\"components\":[");
            let mut i = 0;
            while i < plugin.components.len() {
                self.comma(i);
                self.component(&plugin.components[i]);
                i += 1;
            }
            self.raw("]}");
        }

        const fn number(&mut self, number: u32) {
            if number >= 10 {
                self.number(number / 10);
            }
            self.byte(b'0' + (number % 10) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::choices! {
        /// Two ways.
        pub enum Way {
            /// One.
            One = "one",
            /// Two.
            Two = "two",
        }
    }

    crate::params! {
        /// All types.
        pub struct Everything {
            /// A "quoted" \ word.
            pub count: usize = 3, in 1..=9;
            /// A share.
            pub share: f64 = 0.25, in -1..=1.5;
            /// On or off.
            pub on: bool = true;
            /// A way.
            pub way: Way = "two";
            /// Perhaps a layer.
            pub layer: Option<i64> = null;
            /// Perhaps a way.
            pub detour: Option<Way> = null;
            /// Words.
            pub text: String = "a b";
        }
    }

    const PLUGIN: render::Plugin = render::Plugin {
        name: "crate-name",
        version: "1.2.3",
        libtorch: Some("2.13.0"),
        network: true,
        components: &[render::Component {
            kind: Kind::Method,
            name: "thing",
            summary: "Says \"hello\".",
            slots: &[
                Slot::model(&[Ability::Score, Ability::Trace]),
                Slot::optional("segmenter", Kind::Segmenter),
            ],
            abilities: &[],
            fields: <Everything as crate::Params>::FIELDS,
        }],
    };
    static JSON: [u8; render::length(&PLUGIN)] = render::json(&PLUGIN);

    #[test]
    fn the_compiled_manifest_is_what_the_host_reads() {
        let manifest: Manifest = serde_json::from_slice(&JSON).unwrap();
        assert_eq!(manifest.name, "crate-name");
        assert_eq!(manifest.abi_epoch, abi::EPOCH);
        assert_eq!(manifest.target, TARGET.concat());
        assert_eq!(manifest.libtorch.as_deref(), Some("2.13.0"));
        assert!(manifest.network);
        let component = &manifest.components[0];
        assert_eq!(component.summary, "Says \"hello\".");
        assert_eq!(
            component.slots[0].abilities,
            [Ability::Score, Ability::Trace]
        );
        assert!(!component.slots[1].required);
        let properties = &component.params["properties"];
        assert_eq!(properties["count"]["default"], 3);
        assert_eq!(properties["count"]["description"], "A \"quoted\" \\ word.");
        assert_eq!(properties["share"]["minimum"], -1);
        assert_eq!(properties["share"]["maximum"], 1.5);
        assert_eq!(properties["way"]["enum"], serde_json::json!(["one", "two"]));
        assert_eq!(
            properties["layer"]["type"],
            serde_json::json!(["integer", "null"])
        );
        assert_eq!(
            properties["detour"]["enum"],
            serde_json::json!(["one", "two", null])
        );
    }

    #[test]
    fn the_schema_defaults_are_the_struct_defaults() {
        let manifest: Manifest = serde_json::from_slice(&JSON).unwrap();
        let defaults = serde_json::to_value(Everything::default()).unwrap();
        for (name, property) in manifest.components[0].params["properties"]
            .as_object()
            .unwrap()
        {
            assert_eq!(property["default"], defaults[name], "{name}");
        }
    }

    #[test]
    fn wrong_parameters_are_named() {
        use crate::Params;
        let error = |json: &str| {
            Everything::from_json(serde_json::from_str(json).unwrap())
                .unwrap_err()
                .to_string()
        };
        assert!(
            error(r#"{"cuont": 1}"#)
                .starts_with("unknown parameter `cuont`; its parameters are: `count`")
        );
        assert!(error(r#"{"count": 10}"#).contains("`count` must lie in 1 to 9, got 10"));
        assert!(error(r#"{"way": "three"}"#).contains("`way`"));
        assert!(error(r#"{"share": "x"}"#).contains("`share`"));
    }
}
