//! A plugin from outside: a model with closed-form answers, a well-behaved method, and some that
//! misbehave.

#![forbid(unsafe_code)]

use medfocus_plugin_api::{
    params, testkit::ToyModel, Ability, Attribution, AttributionMethod, BBox, Component, Context,
    GenerateRequest, Generation, ModelInfo, NoParams, Result, ScoreRequest, ScoredBox, Scores, Slot,
    Task, Trace, TraceRequest, VisionLanguageModel,
};

params! {
    /// Parameters of the toy model.
    pub struct ToyParams {
        /// Ignored: it has no checkpoint.
        pub path: String = "";
        /// Ignored: it has no device.
        pub device: String = "cpu";
        /// Cells along each side of its grid.
        pub grid: usize = 8, in 8..=32;
        /// Row of the cell it looks at.
        pub row: usize = 2, in 0..=7;
        /// Column of the cell it looks at.
        pub column: usize = 5, in 0..=7;
    }
}

/// See [`ToyModel`].
struct Toy(ToyModel);

impl Component for Toy {
    const NAME: &'static str = "toy";
    const SUMMARY: &'static str = "Looks at one cell; every answer has a closed form.";
    const ABILITIES: &'static [Ability] = &[Ability::Generate, Ability::Score, Ability::Trace, Ability::Gradient];
    type Params = ToyParams;

    fn new(params: ToyParams, _: Context) -> Result<Self> {
        Ok(Self(ToyModel::looking_at((params.grid, params.grid), (params.row, params.column), 6.0, -2.0)))
    }
}

impl VisionLanguageModel for Toy {
    fn info(&self) -> Result<ModelInfo> {
        self.0.info()
    }
    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        self.0.generate(request)
    }
    fn score(&self, request: &ScoreRequest) -> Result<Scores> {
        self.0.score(request)
    }
    fn trace(&self, request: &TraceRequest) -> Result<Trace> {
        self.0.trace(request)
    }
}

/// A model that only answers.
struct BlackBox(Toy);

impl Component for BlackBox {
    const NAME: &'static str = "black_box";
    const SUMMARY: &'static str = "Answers and shows nothing.";
    const ABILITIES: &'static [Ability] = &[Ability::Generate];
    type Params = ToyParams;

    fn new(params: ToyParams, context: Context) -> Result<Self> {
        Toy::new(params, context).map(Self)
    }
}

impl VisionLanguageModel for BlackBox {
    fn info(&self) -> Result<ModelInfo> {
        self.0.info()
    }
    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        self.0.generate(request)
    }
}

/// Blames the cell in the middle, after asking the model who it is.
struct Centre(Context);

impl Component for Centre {
    const NAME: &'static str = "outside_centre";
    const SUMMARY: &'static str = "The middle of the image.";
    const SLOTS: &'static [Slot] = &[Slot::model(&[])];
    type Params = NoParams;

    fn new(_: NoParams, context: Context) -> Result<Self> {
        Ok(Self(context))
    }
}

impl AttributionMethod for Centre {
    fn attribute(&self, task: &Task) -> Result<Attribution> {
        self.0.step(0, 1, "looking")?;
        let family = self.0.model().info()?.family;
        tracing::warn!(family, "a word from outside");
        let (w, h) = (task.image.width(), task.image.height());
        let bbox = BBox::new(w / 4, h / 4, 3 * w / 4, 3 * h / 4)?;
        Ok(Attribution {
            boxes: Some(vec![ScoredBox { bbox, score: 1.0, label: Some("middle".into()) }]),
            evidence: [("model_family".to_owned(), family.into())].into_iter().collect(),
            ..Attribution::default()
        })
    }
}

macro_rules! misbehaving {
    ($type:ident, $name:literal, new: $new:expr, attribute: $attribute:expr) => {
        struct $type;

        impl Component for $type {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = "Misbehaves, for tests.";
            type Params = NoParams;

            fn new(_: NoParams, _: Context) -> Result<Self> {
                #[allow(clippy::redundant_closure_call)]
                ($new)()
            }
        }

        impl AttributionMethod for $type {
            fn attribute(&self, _: &Task) -> Result<Attribution> {
                #[allow(clippy::redundant_closure_call)]
                ($attribute)()
            }
        }
    };
}

misbehaving!(PanicsInNew, "panics_in_new", new: || panic!("no {} today", "construction"), attribute: || Ok(Attribution::default()));
misbehaving!(PanicsInCall, "panics_in_call", new: || Ok(Self), attribute: || panic!("lost the thread"));
misbehaving!(PanicsElsewhere, "panics_elsewhere", new: || Ok(Self), attribute: || {
    let lost = std::thread::spawn(|| panic!("lost in another thread"));
    while !lost.is_finished() {
        std::thread::yield_now();
    }
    Ok(upper_half())
});
misbehaving!(PanicsInDrop, "panics_in_drop", new: || Ok(Self), attribute: || Ok(Attribution { boxes: Some(Vec::new()), ..Attribution::default() }));
misbehaving!(GivesNothing, "gives_nothing", new: || Ok(Self), attribute: || Ok(Attribution::default()));

// These end the process that they are in, or never end.
misbehaving!(Exits, "exits", new: || Ok(Self), attribute: || std::process::exit(0));
misbehaving!(Aborts, "aborts", new: || Ok(Self), attribute: || std::process::abort());
misbehaving!(AbortsInNew, "aborts_in_new", new: || std::process::abort(), attribute: || Ok(Attribution::default()));
misbehaving!(Overflows, "overflows", new: || Ok(Self), attribute: || { dive(0); Ok(Attribution::default()) });
misbehaving!(Hangs, "hangs", new: || Ok(Self), attribute: || loop { std::thread::sleep(std::time::Duration::from_secs(60)) });
misbehaving!(Spins, "spins", new: || Ok(Self), attribute: || loop { std::hint::spin_loop() });
misbehaving!(Devours, "devours", new: || Ok(Self), attribute: || {
    let hoard: Vec<_> = (0..20 << 10).map(|_| std::hint::black_box(vec![1_u8; 1 << 20])).collect();
    Err(medfocus_plugin_api::Error::internal(format!("took {} MiB", hoard.len())))
});
misbehaving!(Chatters, "chatters", new: || Ok(Self), attribute: || {
    for line in 0..100_000 {
        tracing::warn!("line {line}");
    }
    Ok(upper_half())
});
// These try to reach out; what comes of it is in the error.
misbehaving!(Writes, "writes", new: || Ok(Self), attribute: || tried(std::fs::write(std::env::temp_dir().join("medfocus-outside-writes"), "secret").err()));
misbehaving!(Calls, "calls", new: || Ok(Self), attribute: || tried(std::net::TcpListener::bind("127.0.0.1:0").err()));
misbehaving!(Runs, "runs", new: || Ok(Self), attribute: || tried(std::process::Command::new("/bin/true").status().err()));

#[allow(unconditional_recursion)]
fn dive(depth: u64) -> u64 {
    let ballast = std::hint::black_box([depth; 1024]);
    dive(depth + 1) + ballast[17]
}

fn tried(refused: Option<std::io::Error>) -> Result<Attribution> {
    Err(medfocus_plugin_api::Error::internal(match refused {
        None => "nobody kept it from that".to_owned(),
        Some(error) => format!("it was kept from that: {error}"),
    }))
}

fn upper_half() -> Attribution {
    let bbox = BBox::new(0, 0, 224, 112).expect("it is not empty");
    Attribution {
        boxes: Some(vec![ScoredBox { bbox, score: 1.0, label: None }]),
        ..Attribution::default()
    }
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("cannot let go");
    }
}

medfocus_plugin_api::export_plugin! {
    model Toy;
    model BlackBox;
    method Centre;
    method PanicsInNew;
    method PanicsInCall;
    method PanicsElsewhere;
    method PanicsInDrop;
    method GivesNothing;
    method Exits;
    method Aborts;
    method AbortsInNew;
    method Overflows;
    method Hangs;
    method Spins;
    method Devours;
    method Chatters;
    method Writes;
    method Calls;
    method Runs;
}
