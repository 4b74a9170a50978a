//! The plugin: requests of the host to calls of the [`Backend`].

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use medfocus_plugin_api as api;
use medfocus_plugin_api::{
    Ability, Component, Context, GenerateEachRequest, GenerateRequest, Generation, ModelInfo,
    ScoreRequest, Scores, Trace, TraceRequest, VisionLanguageModel, WORKING_SIDE,
};
use medfocus_torch::device::{self, DeviceRequest, Precision};
use medfocus_torch::shared::Shared;
use medfocus_torch::tch::{Device, Kind};
use medfocus_torch::weights::Weights;

use crate::backend::{Backend, parameters};
use crate::digest::{Circumstances, digest};
use crate::network::Family;
use crate::{Error, Result};

medfocus_plugin_api::params! {
    /// Settings of every model.
    pub struct Settings {
        /// Folder of a Hugging Face checkpoint.
        pub path: String = "";
        /// Where it runs: `auto` (CUDA if there is any), `cpu` or `cuda:N`.
        pub device: String = "auto";
        /// Number format: `auto` (f32 on the CPU, bf16 on CUDA), `f32` or `bf16`.
        pub dtype: String = "auto";
        /// Most images that go through the network at once; 0: as many as 2 GiB of working memory hold on the
        /// CPU, at most 8, and a quarter of what the weights leave of a GPU's memory, at most 32, whatever else the machine is doing.
        pub batch: usize = 0, in 0..=4096;
        /// Layers, counted from the top, whose weights are replaced by noise, for sanity checks (Adebayo et al., NeurIPS 2018,
        /// cascading randomisation): those of the decoder, then the projector, those of the image tower, and what takes the patches in.
        /// -1: all weights.
        pub randomise: i64 = 0, in -1..=100000;
        /// Seed of that noise.
        pub randomise_seed: u64 = 0;
        /// Only look at the checkpoint, reading no weights: say what it is, or what is wrong with it. It then answers nothing.
        pub inspect: bool = false;
    }
}

/// A family's checkpoint behind the host's interface.
pub struct Lvlm<F: Family> {
    /// libtorch's tensors may move between threads but not be shared by them. None if the checkpoint was only looked at.
    backend: Option<Mutex<Backend<F>>>,
    info: ModelInfo,
    context: Context,
    /// What other models of this process need not read again.
    _shared: Option<Arc<Shared>>,
}

impl<F: Family> Component for Lvlm<F> {
    const NAME: &'static str = F::NAME;
    const SUMMARY: &'static str = F::SUMMARY;
    const ABILITIES: &'static [Ability] = &[
        Ability::Generate,
        Ability::Score,
        Ability::Trace,
        Ability::Gradient,
        Ability::Relevance,
    ];
    type Params = Settings;

    fn new(settings: Settings, context: Context) -> api::Result<Self> {
        if settings.path.is_empty() {
            return Err(api::Error::invalid("parameter `path` is missing")
                .with_key("path")
                .with_hint(format!("set it to the folder of {}", F::CHECKPOINT)));
        }
        Ok(load(&settings, context)?)
    }
}

fn load<F: Family>(settings: &Settings, context: Context) -> Result<Lvlm<F>> {
    let folder = Path::new(&settings.path);
    let request: DeviceRequest = settings.device.parse()?;
    let precision: Precision = settings.dtype.parse()?;
    // Before libtorch is asked for a device: a wrong folder should not cost a CUDA start.
    let config = F::config(folder)?;
    let facts = F::facts(&config);
    let device = device::resolve(request)?;
    let kind = precision.kind(device);
    let mut shared = None;
    let network = if settings.inspect {
        outline::<F>(&config, &Weights::outline(folder, device, kind)?)?
    } else {
        let mut weights = Weights::open(folder, device, kind)?;
        if settings.randomise != 0 {
            let prefixes = prefixes::<F>(&config, &weights, settings.randomise)?;
            weights = weights.randomised(prefixes, settings.randomise_seed);
        }
        shared = weights.share();
        F::network(&config, &weights)?
    };
    let parameters = parameters::<F>(&config)?;
    let limit = (settings.batch > 0).then_some(settings.batch);
    let backend = Backend::with_network(network, config, folder, limit)?;
    let working = (WORKING_SIDE as usize, WORKING_SIDE as usize);
    let batch = backend.batch(working)?;
    tracing::info!(
        "batches of {} images for scores, {} for pixel gradients",
        batch.score,
        batch.pixel_gradient
    );
    let (height, width) = backend.processor().size(working.0, working.1)?;
    let grid = backend.grid(working)?;
    let mut info = ModelInfo::new(F::NAME, String::new());
    if !settings.inspect {
        info.digest = digest(folder, circumstances(settings, device, kind))?;
        info.abilities = Lvlm::<F>::ABILITIES.to_vec();
    }
    info.parameters = parameters;
    info.device = device_name(device);
    info.dtype = kind_name(kind).to_owned();
    info.input = Some((height as u32, width as u32));
    info.grid = (grid.rows as u32, grid.columns as u32);
    info.coordinates = facts.coordinates;
    info.layers = facts.layers;
    info.heads = facts.heads;
    info.hidden = facts.hidden;
    info.memory = Some(backend.memory(working)?);
    info.batch = Some(batch.into());
    Ok(Lvlm {
        info,
        backend: (!settings.inspect).then(|| Mutex::new(backend)),
        context,
        _shared: shared,
    })
}

/// What begins the names of the parameters of the top `layers`, or with -1 of all (cascading randomisation, Adebayo et al., NeurIPS
/// 2018). Those of more layers hold those of fewer.
fn prefixes<F: Family>(config: &F::Config, weights: &Weights, layers: i64) -> Result<Vec<String>> {
    let Ok(layers) = usize::try_from(layers) else {
        return Ok(vec![String::new()]);
    };
    let depth = F::facts(config).layers.len();
    let decoder = (0..depth).rev();
    let decoder = decoder.map(|layer| Ok(vec![F::layer_prefix(weights, layer)?]));
    let mut stages = decoder.collect::<Result<Vec<_>>>()?;
    stages.extend(F::image_prefixes(config, weights)?);
    if layers > stages.len() {
        return Err(Error::Request(format!(
            "{layers} layers cannot be randomised: this model has {}, of which {depth} are the decoder's",
            stages.len()
        )));
    }
    Ok(stages.into_iter().take(layers).flatten().collect())
}

/// The network over weights that are only looked at. Whatever is wrong with them is told together.
fn outline<F: Family>(config: &F::Config, weights: &Weights) -> Result<F::Network> {
    let network = F::network(config, weights);
    let mut faults = weights.faults().into_iter();
    match (faults.next(), faults.len()) {
        (None, _) => network,
        (Some(only), 0) => Err(only),
        (Some(first), others) => Err(Error::Checkpoint(format!(
            "{first}; {others} other tensors are missing or differ as well"
        ))),
    }
}

impl<F: Family> Lvlm<F> {
    /// The backend is never left half changed, so a panic in another call does not spoil it.
    fn backend(&self) -> Result<MutexGuard<'_, Backend<F>>> {
        let backend = self.backend.as_ref().ok_or_else(|| {
            Error::Request(
                "with `inspect` a model is only looked at; it answers nothing".to_owned(),
            )
        })?;
        Ok(backend.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn watch<'a>(&'a self, what: &'a str) -> impl Fn(usize, usize) -> Result<()> + 'a {
        move |done, total| {
            self.context
                .step(done as u64, total as u64, what)
                .map_err(|_| Error::Cancelled)
        }
    }
}

impl<F: Family> VisionLanguageModel for Lvlm<F> {
    fn info(&self) -> api::Result<ModelInfo> {
        Ok(self.info.clone())
    }

    fn generate(&self, request: &GenerateRequest) -> api::Result<Generation> {
        Ok(self
            .backend()?
            .generate(request, &self.watch("generating"))?)
    }

    fn generate_each(&self, request: &GenerateEachRequest) -> api::Result<Vec<Generation>> {
        Ok(self
            .backend()?
            .generate_each(request, &self.watch("generating"))?)
    }

    fn score(&self, request: &ScoreRequest) -> api::Result<Scores> {
        Ok(self.backend()?.score(request, &self.watch("scoring"))?)
    }

    fn trace(&self, request: &TraceRequest) -> api::Result<Trace> {
        Ok(self.backend()?.trace(request, &self.watch("tracing"))?)
    }
}

fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::BFloat16 => "bf16",
        _ => "f32",
    }
}

fn circumstances(settings: &Settings, device: Device, kind: Kind) -> Circumstances {
    let noise = (settings.randomise != 0).then_some((settings.randomise, settings.randomise_seed));
    Circumstances {
        format: kind_name(kind),
        device: if device.is_cuda() { "cuda" } else { "cpu" },
        noise,
    }
}
