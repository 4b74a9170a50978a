//! What all objects say: whose they are, which examination they belong to, what made them (PS3.3 C.7 and C.12).

use dicom_dictionary_std::tags;

use crate::{
    codes::{Code, PRIVATE},
    elements::{Element, Set, item, line, paragraph, sequence, text},
    explanation::{Algorithm, Explanation},
    film::Film,
    object::Moment,
    uid,
};

/// What tells one kind of object from another.
pub struct Kind {
    /// SOP class UID.
    pub class: &'static str,
    /// Modality of its series.
    pub modality: &'static str,
    /// Number of its series.
    pub series: &'static str,
}

/// The elements of patient, study, series, equipment and SOP common.
pub fn common(kind: &Kind, film: &Film, explanation: &Explanation<'_>) -> Set {
    let patient = &film.patient;
    let mut set = Set::from_element_iter([
        text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192"),
        text(tags::SOP_CLASS_UID, kind.class),
        text(tags::PATIENT_NAME, patient.name.as_str()),
        text(tags::PATIENT_ID, patient.id.as_str()),
        text(tags::PATIENT_BIRTH_DATE, patient.birth_date.as_str()),
        text(tags::PATIENT_SEX, patient.sex.as_str()),
        text(tags::STUDY_INSTANCE_UID, film.study.as_str()),
        text(tags::STUDY_DATE, patient.study_date.as_str()),
        text(tags::STUDY_TIME, patient.study_time.as_str()),
        text(tags::STUDY_ID, patient.study_id.as_str()),
        text(tags::ACCESSION_NUMBER, patient.accession.as_str()),
        text(tags::REFERRING_PHYSICIAN_NAME, patient.referring.as_str()),
        text(tags::MODALITY, kind.modality),
        text(tags::SERIES_NUMBER, kind.series),
        text(
            tags::SERIES_DESCRIPTION,
            "MedFocus explanation, research only",
        ),
        text(tags::INSTANCE_NUMBER, "1"),
        text(tags::MANUFACTURER, "MedFocus"),
        text(tags::MANUFACTURER_MODEL_NAME, "MedFocus"),
        text(tags::DEVICE_SERIAL_NUMBER, "none"),
        text(tags::SOFTWARE_VERSIONS, line(explanation.version, 64)),
        sequence(
            tags::CONTRIBUTING_EQUIPMENT_SEQUENCE,
            vec![
                contributor("Model", &explanation.model),
                contributor("Attribution method", &explanation.method),
            ],
        ),
        item(
            tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE,
            [
                text(tags::CODING_SCHEME_DESIGNATOR, PRIVATE),
                text(tags::CODING_SCHEME_NAME, "MedFocus concepts"),
                text(
                    tags::CODING_SCHEME_RESPONSIBLE_ORGANIZATION,
                    "The MedFocus project",
                ),
            ],
        ),
    ]);
    if !patient.issuer.is_empty() {
        set.put(text(tags::ISSUER_OF_PATIENT_ID, patient.issuer.as_str()));
    }
    if film.replaced {
        set.put(text(tags::PATIENT_IDENTITY_REMOVED, "YES"));
        set.put(text(
            tags::DEIDENTIFICATION_METHOD,
            "MedFocus: written without the film's identity",
        ));
        set.put(sequence(
            tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
            DEIDENTIFIED.map(Code::item).into(),
        ));
    }
    set
}

const DEIDENTIFIED: [Code; 2] = [
    Code::dcm("113100", "Basic Application Confidentiality Profile"),
    Code::dcm(
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
];

/// When it was made.
pub fn moment(now: &Moment) -> [Element; 2] {
    [
        text(tags::CONTENT_DATE, now.date.as_str()),
        text(tags::CONTENT_TIME, now.time.as_str()),
    ]
}

/// The film as an object that is referred to.
pub fn instance(film: &Film) -> Set {
    Set::from_element_iter([
        text(tags::REFERENCED_SOP_CLASS_UID, film.class.as_str()),
        text(tags::REFERENCED_SOP_INSTANCE_UID, film.instance.as_str()),
    ])
}

/// The film, of several frames the one that was explained.
pub fn reference(film: &Film) -> Set {
    let mut set = instance(film);
    if film.frames > 1 {
        set.put(text(tags::REFERENCED_FRAME_NUMBER, "1"));
    }
    set
}

/// The identifier of this program, as something that observes.
pub fn device(explanation: &Explanation<'_>) -> String {
    uid::of("device", explanation.version.as_bytes())
}

/// The parts of an algorithm that identify it, in words.
pub fn described(algorithm: &Algorithm<'_>) -> String {
    let weights = algorithm
        .weights
        .map_or_else(String::new, |digest| format!(", weights {digest}"));
    format!(
        "{}, plugin {} {} {}{weights}",
        algorithm.name, algorithm.plugin, algorithm.version, algorithm.digest
    )
}

fn contributor(what: &str, algorithm: &Algorithm<'_>) -> Set {
    Set::from_element_iter([
        Code::dcm("109102", "Processing Equipment")
            .sequence(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE),
        text(tags::MANUFACTURER, "MedFocus"),
        text(tags::MANUFACTURER_MODEL_NAME, line(algorithm.name, 64)),
        text(tags::SOFTWARE_VERSIONS, line(algorithm.version, 64)),
        text(
            tags::CONTRIBUTION_DESCRIPTION,
            paragraph(&format!("{what}: {}", described(algorithm)), 1024),
        ),
    ])
}
