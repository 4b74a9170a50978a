//! medfocus-trainer
