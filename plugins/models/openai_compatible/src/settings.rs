//! Parameters.

use medfocus_plugin_api::{Coordinates, choices, params};

choices! {
    /// How given answers are scored.
    pub enum Scoring {
        /// By `prompt_logprobs` if the server is found to compute them rightly, else not at all.
        Auto = "auto",
        /// The log-probability of each token of the answer, from the server's `prompt_logprobs`.
        PromptLogProbs = "prompt_logprobs",
        /// Another score: how the first token divides between yes and no.
        FirstToken = "first_token",
        /// Not at all.
        None = "none",
    }
}

choices! {
    /// How the model writes boxes.
    pub enum Boxes {
        /// Not known.
        Unknown = "unknown",
        /// `[y1, x1, y2, x2]` in thousandths of the image, as Gemma's family.
        YxyxThousand = "yxyx_1000",
        /// `[x1, y1, x2, y2]` in pixels, as Qwen2.5-VL.
        XyxyPixels = "xyxy_pixels",
    }
}

impl From<Boxes> for Coordinates {
    fn from(boxes: Boxes) -> Self {
        match boxes {
            Boxes::Unknown => Self::Unknown,
            Boxes::YxyxThousand => Self::YxyxThousand,
            Boxes::XyxyPixels => Self::XyxyPixels,
        }
    }
}

params! {
    /// Parameters of [`OpenAiCompatible`](crate::model::OpenAiCompatible).
    pub struct Settings {
        /// Where the server is, with the `/v1` that its paths begin with, as `https://llm.hospital:8000/v1`.
        pub url: String = "";
        /// The model's name on the server.
        pub model: String = "";
        /// Environment variable that holds the server's key; no key if empty.
        pub api_key_env: String = "";
        /// File that holds the server's key; no key if empty.
        pub api_key_file: String = "";
        /// PEM file of the certificate authorities that are trusted; if empty those that Mozilla trusts.
        pub ca_file: String = "";
        /// HTTP proxy, as `http://proxy:3128`; none if empty, whatever the environment says.
        pub proxy: String = "";
        /// Seconds of one request at most, its answer included.
        pub timeout_seconds: u32 = 120, in 1..=3600;
        /// How often a request is made again that met a busy or failing server or a broken connection.
        pub retries: u32 = 3, in 0..=20;
        /// Requests at once at most; each worker of an experiment makes as many.
        pub concurrency: u32 = 4, in 1..=64;
        /// How given answers are scored.
        pub score: Scoring = "auto";
        /// How the model writes boxes.
        pub coordinates: Boxes = "unknown";
        /// Only ask whether the server is there and serves the model. It then answers nothing.
        pub inspect: bool = false;
    }
}
