//! An editor without weights: what it fills in has no content, only the grey of its surroundings.
mod harmonic;
mod inpaint;
mod multigrid;
mod network;

pub use harmonic::harmonic;
pub use inpaint::Inpaint;

medfocus_plugin_api::export_plugin! {
    editor Inpaint;
}
