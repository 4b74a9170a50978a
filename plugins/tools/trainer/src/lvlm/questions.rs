//! Questions about the images of a batch, and the sequences they become.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::Result;
use medfocus_lvlm::forward;
use medfocus_lvlm::network::Network;
use medfocus_lvlm::prompt::{Answered, Prompter};
use medfocus_phantom::Finding;
use medfocus_plugin_api::AnswerSpan;
use medfocus_torch::tch::Tensor;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::architecture::{IMAGE_SIDE, IMAGE_TOKENS};
use super::batch::Batch;
use super::corpus::{Boxes, Task};
use super::sample::Truth;
use super::student::Student;

/// One question about one image of a batch.
pub struct Question {
    pub image: usize,
    pub finding: Finding,
    pub task: Task,
}

/// Texts with their ids, each worked out once.
pub struct Phrases {
    prompter: Prompter,
    boxes: Boxes,
    pad: i64,
    known: HashMap<(String, String), Answered>,
    yes: i64,
    no: i64,
}

impl Phrases {
    /// Ids by this tokenizer and chat template, which are the student's.
    pub fn new<S: Student>(prompter: Prompter) -> Result<Self> {
        Ok(Phrases {
            boxes: S::BOXES,
            pad: S::TOKENS.pad,
            known: HashMap::new(),
            yes: prompter.first_token("Yes")?,
            no: prompter.first_token("No")?,
            prompter,
        })
    }

    fn get(&mut self, question: String, answer: String) -> Result<&Answered> {
        match self.known.entry((question, answer)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(free) => {
                let (question, answer) = free.key();
                let answered =
                    self.prompter
                        .answered(question, answer, AnswerSpan::Turn, IMAGE_TOKENS)?;
                Ok(free.insert(answered))
            }
        }
    }

    fn opposite(&self, id: i64) -> i64 {
        if id == self.yes {
            self.no
        } else if id == self.no {
            self.yes
        } else {
            id
        }
    }
}

/// Sequences of questions with their answers, ready for the decoder.
pub struct Sequences {
    /// `[sequences, tokens]`, padded on the right.
    ids: Tensor,
    /// Image of each sequence.
    images: Tensor,
    /// Places, in the flattened sequences, whose next token belongs to an answer.
    places: Tensor,
    /// Those next tokens.
    pub targets: Tensor,
    /// The same with direct answers turned into their opposite.
    pub opposites: Tensor,
    /// Ids of one sequence, for the masks: images stand at the same places in all.
    pattern: Vec<i64>,
}

impl Sequences {
    /// Sequences of these questions; `None` if none of them has an answer.
    pub fn new(
        questions: &[&Question],
        batch: &Batch,
        phrases: &mut Phrases,
    ) -> Result<Option<Sequences>> {
        let (mut rows, mut images) = (Vec::new(), Vec::new());
        for question in questions {
            let truth = &batch.truths[question.image][question.finding as usize];
            let boxes = phrases.boxes;
            if let Some(answer) = question.task.answer(question.finding, truth, boxes) {
                let asked = question.task.question(question.finding.name(), boxes);
                rows.push(phrases.get(asked, answer)?.clone());
                images.push(question.image as i64);
            }
        }
        let Some(longest) = rows.iter().map(|row| row.ids.len()).max() else {
            return Ok(None);
        };
        let (mut ids, mut places, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (row, answered) in rows.iter().enumerate() {
            for at in answered.answer.clone() {
                places.push((row * longest + at - 1) as i64);
                targets.push(answered.ids[at]);
            }
            ids.extend(&answered.ids);
            ids.resize((row + 1) * longest, phrases.pad);
        }
        let opposites: Vec<i64> = targets.iter().map(|&id| phrases.opposite(id)).collect();
        Ok(Some(Sequences {
            pattern: ids[..longest].to_vec(),
            ids: Tensor::from_slice(&ids).reshape([rows.len() as i64, longest as i64]),
            images: Tensor::from_slice(&images),
            places: Tensor::from_slice(&places),
            targets: Tensor::from_slice(&targets),
            opposites: Tensor::from_slice(&opposites),
        }))
    }

    /// Logits `[places, vocabulary]`, given the image tokens of the whole batch.
    pub fn logits<N: Network>(&self, network: &N, features: &Tensor) -> Result<Tensor> {
        let features = features.index_select(0, &self.images);
        let embedded = forward::embed_batch(network, &self.ids, &features)?;
        let grid = network.grid(IMAGE_SIDE as i64, IMAGE_SIDE as i64);
        let pass = network.prefill(&self.pattern, grid)?;
        let hidden = forward::run(network, &embedded, &pass, None)?;
        Ok(network.logits(&hidden.flatten(0, 1).index_select(0, &self.places))?)
    }
}

/// Half positive and half negative questions, at most `count`; up to half of the negative ones are about
/// findings that have been blanked.
pub fn ask(batch: &Batch, count: usize, tasks: &[u32], rng: &mut ChaCha8Rng) -> Vec<Question> {
    let (mut present, mut absent, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
    for (image, truths) in batch.truths.iter().enumerate() {
        for (finding, truth) in Finding::ALL.into_iter().zip(truths) {
            match truth {
                Truth::Present(..) => present.push((image, finding)),
                Truth::Absent => absent.push((image, finding)),
                Truth::Hidden => hidden.push((image, finding)),
                Truth::Unclear => {}
            }
        }
    }
    present.shuffle(rng);
    absent.shuffle(rng);
    let half = present.len().min(count / 2);
    hidden.truncate(half / 2);
    present.truncate(half);
    absent.truncate(half - hidden.len());
    [present, absent, hidden]
        .concat()
        .into_iter()
        .map(|(image, finding)| {
            let mut left = rng.random_range(0..tasks.iter().sum());
            let task = Task::ALL.into_iter().zip(tasks).find(|&(_, &weight)| {
                let here = left < weight;
                left = left.saturating_sub(weight);
                here
            });
            Question {
                image,
                finding,
                task: task.map_or(Task::Direct, |(task, _)| task),
            }
        })
        .collect()
}
