//! What is asked and answered about a finding.

use medfocus_phantom::{Concept, Finding, FindingInstance, Side};

use super::architecture::IMAGE_SIDE;
use super::sample::Truth;

/// The ways in which a finding is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Yes or no.
    Direct,
    /// Where to look, what is seen there, then yes or no.
    Reasoning,
    /// A JSON list of boxes.
    Boxes,
    /// A JSON list of regions.
    Regions,
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 4] = [Task::Direct, Task::Reasoning, Task::Boxes, Task::Regions];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Task::Direct => "direct",
            Task::Reasoning => "reasoning",
            Task::Boxes => "boxes",
            Task::Regions => "regions",
        }
    }

    /// What follows the question, with the space before it.
    pub fn suffix(self, boxes: Boxes) -> &'static str {
        match self {
            Task::Direct => " Answer directly with yes or no without any explanation.",
            Task::Reasoning => " Think step by step and answer with yes or no.",
            Task::Boxes => boxes.request(),
            Task::Regions => " Give the evidence as a JSON list of short region descriptions.",
        }
    }

    /// The whole question.
    pub fn question(self, finding: &str, boxes: Boxes) -> String {
        format!(
            "Is there evidence of {finding} in the image?{}",
            self.suffix(boxes)
        )
    }

    /// The answer; `None` for an unclear truth.
    pub fn answer(self, finding: Finding, truth: &Truth, boxes: Boxes) -> Option<String> {
        let found = match truth {
            Truth::Present(instance, corners) => Some((instance, corners)),
            Truth::Absent | Truth::Hidden => None,
            Truth::Unclear => return None,
        };
        Some(match (self, found) {
            (Task::Direct, Some(_)) => "Yes".to_owned(),
            (Task::Direct, None) => "No".to_owned(),
            (Task::Reasoning, found) => reasoning(finding, found.map(|(instance, _)| instance)),
            (Task::Boxes, Some((_, corners))) => boxes.write(*corners),
            (Task::Regions, Some((instance, _))) => format!("[\"{}\"]", instance.region_phrase()),
            (Task::Boxes | Task::Regions, None) => "[]".to_owned(),
        })
    }
}

/// How a family writes boxes, on a grid of forty or so lines, so that each number is one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boxes {
    /// `[y1, x1, y2, x2]` in thousandths of the image, in steps of 25.
    Thousandths,
    /// `[x1, y1, x2, y2]` in pixels of the tower's image, in steps of 4.
    Pixels,
}

impl Boxes {
    /// What asks for them, as the method `prompting` does it.
    fn request(self) -> &'static str {
        match self {
            Self::Thousandths => {
                " Give the evidence as a JSON list of boxes [y1, x1, y2, x2] with coordinates from 0 to 1000."
            }
            Self::Pixels => {
                " Give the evidence as a JSON list of boxes [x1, y1, x2, y2] in pixels of a 112 x 112 image."
            }
        }
    }

    /// The number of the image's far edge, and the step of the grid.
    pub fn grid(self) -> (u32, u32) {
        match self {
            Self::Thousandths => (1000, 25),
            Self::Pixels => (IMAGE_SIDE as u32, 4),
        }
    }

    /// A list of one box, given as shares `[y1, x1, y2, x2]` of the image; never empty.
    pub fn write(self, corners: [f32; 4]) -> String {
        let (edge, step) = self.grid();
        let lines = edge / step;
        let [y1, x1, y2, x2] = corners.map(|share| (share * lines as f32).round() as u32);
        let span = |low: u32, high: u32| {
            let low = low.min(lines - 1);
            (step * low, step * high.clamp(low + 1, lines))
        };
        let ((y1, y2), (x1, x2)) = (span(y1, y2), span(x1, x2));
        match self {
            Self::Thousandths => format!("[[{y1}, {x1}, {y2}, {x2}]]"),
            Self::Pixels => format!("[[{x1}, {y1}, {x2}, {y2}]]"),
        }
    }

    /// The first box of a list as shares `[y1, x1, y2, x2]`.
    pub fn read(self, text: &str) -> Option<[f64; 4]> {
        let boxes: Vec<[f64; 4]> = serde_json::from_str(text).ok()?;
        let [a, b, c, d] = boxes
            .first()?
            .map(|number| number / f64::from(self.grid().0));
        Some(match self {
            Self::Thousandths => [a, b, c, d],
            Self::Pixels => [b, a, d, c],
        })
    }
}

/// The first step is the same whatever the answer, so that it gives nothing away.
fn reasoning(finding: Finding, found: Option<&FindingInstance>) -> String {
    let (place, present, absent) = observations(finding);
    let (seen, verdict) = match found {
        Some(instance) => {
            let side = instance.side.unwrap_or(Side::Left).name();
            (present.replace("{side}", side), "yes")
        }
        None => (absent.to_owned(), "no"),
    };
    format!("Step 1: look at the {place}. Step 2: {seen}. The answer is {verdict}.")
}

/// Where to look for a finding, and what is seen there with and without it.
fn observations(finding: Finding) -> (&'static str, &'static str, &'static str) {
    match finding {
        Finding::Cardiomegaly => (
            "cardiac silhouette",
            "the heart is wider than half of the chest",
            "the heart is narrower than half of the chest",
        ),
        Finding::PleuralEffusion => (
            "costophrenic angles",
            "the {side} costophrenic angle is blunted by fluid",
            "both costophrenic angles are sharp",
        ),
        Finding::Pneumothorax => (
            "margins of both lungs",
            "a rim of air lies along the {side} lung",
            "both lungs reach the chest wall",
        ),
        Finding::Consolidation => (
            "lung fields",
            "the {side} lung holds a dense patch",
            "both lungs are free of dense patches",
        ),
        Finding::LungNodule => (
            "lung fields",
            "the {side} lung holds a round spot",
            "both lungs are free of round spots",
        ),
        Finding::HilarEnlargement => (
            "hilar structures",
            "the {side} hilum is large and lobulated",
            "both hila are small",
        ),
        Finding::MediastinalWidening => (
            "upper mediastinum",
            "the upper mediastinum is wide",
            "the upper mediastinum is narrow",
        ),
        Finding::ClavicleFracture => (
            "clavicles",
            "the {side} clavicle is broken",
            "both clavicles are intact",
        ),
        Finding::Atelectasis => (
            "lung fields",
            "the {side} lung holds plates of collapsed lung",
            "both lungs are free of plates",
        ),
        Finding::Pacemaker => (
            "chest wall",
            "a metal box with leads lies over the {side} lung",
            "both sides are free of metal",
        ),
        Finding::HiatalHernia => (
            "mediastinum",
            "a round shadow lies behind the heart",
            "the shadow of the heart is even",
        ),
        Finding::SternotomyWires => (
            "mediastinum",
            "metal wires run along the midline",
            "the midline is free of metal wires",
        ),
    }
}

/// Every question and every answer there can be, and the words of the chat template, for the tokenizer.
pub fn all_texts(boxes: Boxes, roles: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for finding in Finding::ALL {
        for task in Task::ALL {
            texts.push(task.question(finding.name(), boxes));
        }
        texts.extend(Task::Direct.answer(finding, &Truth::Absent, boxes));
        texts.push(reasoning(finding, None));
        for seed in 0..8 {
            texts.push(reasoning(
                finding,
                Some(&FindingInstance::sample(finding, seed)),
            ));
        }
    }
    texts.push(format!("Yes yes no {roles}"));
    for concept in Concept::ALL {
        texts.push(format!("[\"{0}\", \"{0}\"] {0}", concept.name()));
    }
    let (edge, step) = boxes.grid();
    for number in (0..=edge).step_by(step as usize) {
        texts.push(format!(
            "[[{number}, {number}, {number}]] [] [{number}, {number}]"
        ));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_gives_nothing_away() {
        let first = |text: &str| text.split("Step 2").next().map(str::to_owned);
        for finding in Finding::ALL {
            let without = reasoning(finding, None);
            assert!(without.ends_with("The answer is no."));
            for seed in 0..4 {
                let with = reasoning(finding, Some(&FindingInstance::sample(finding, seed)));
                assert!(
                    with.ends_with("The answer is yes.") && !with.contains('{'),
                    "{with}"
                );
                assert_eq!(first(&with), first(&without));
            }
        }
    }

    #[test]
    fn boxes_are_rounded_to_the_grid_and_never_empty() {
        let write = |corners| Boxes::Thousandths.write(corners);
        assert_eq!(write([0.1, 0.2, 0.3, 0.4]), "[[100, 200, 300, 400]]");
        let near = [0.1124, 0.1126, 0.9876, 0.9874];
        assert_eq!(write(near), "[[100, 125, 1000, 975]]");
        assert_eq!(write([0.5, 1.0, 0.5, 1.0]), "[[500, 975, 525, 1000]]");
        let pixels = Boxes::Pixels.write([0.25, 0.5, 0.5, 1.0]);
        assert_eq!(pixels, "[[56, 28, 112, 56]]");
    }

    #[test]
    fn boxes_are_read_as_they_are_written() {
        let corners = [0.25, 0.5, 0.5, 1.0];
        for boxes in [Boxes::Thousandths, Boxes::Pixels] {
            let read = boxes.read(&boxes.write(corners.map(|share| share as f32)));
            assert_eq!(read, Some(corners));
            assert_eq!(boxes.read("[]"), None);
        }
    }
}
