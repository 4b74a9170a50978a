//! A model that gives a set answer.

use std::sync::{Arc, Mutex};

use medfocus_plugin_api::{
    Coordinates, GenerateRequest, Generation, ModelInfo, Result, VisionLanguageModel,
    testkit::ToyModel,
};

/// Gives the answer whatever it is asked, and keeps the questions.
#[derive(Clone)]
pub struct Says {
    pub answer: String,
    pub coordinates: Coordinates,
    pub input: Option<(u32, u32)>,
    pub complete: bool,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Says {
    pub fn new(answer: &str) -> Self {
        Self {
            answer: answer.into(),
            coordinates: Coordinates::YxyxThousand,
            input: None,
            complete: true,
            asked: Arc::default(),
        }
    }
}

impl VisionLanguageModel for Says {
    fn info(&self) -> Result<ModelInfo> {
        let mut info = ToyModel::looking_at((1, 1), (0, 0), 1.0, 0.0).info()?;
        info.coordinates = self.coordinates;
        info.input = self.input;
        Ok(info)
    }

    fn generate(&self, request: &GenerateRequest) -> Result<Generation> {
        self.asked.lock().unwrap().push(request.question.clone());
        Ok(Generation::new(
            self.answer.clone(),
            Vec::new(),
            vec![0.5f32.ln(), 0.25f32.ln()],
            self.complete,
        ))
    }
}
