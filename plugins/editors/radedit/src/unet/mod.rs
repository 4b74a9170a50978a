//! The network that predicts the noise in latents.
