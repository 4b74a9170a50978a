//! `results.parquet`: every result, one line for each sample and method.

use std::{io, sync::Arc};

use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};
use serde_json::json;

use super::{measure, text};
use crate::{
    experiment::{
        plan::Plan,
        record::{MethodOutcome, MethodResult, Outcome, Record},
        results::Results,
    },
    metrics::METRICS,
};

/// Writes the file.
///
/// A sample that was excluded or failed as a whole has one line without a method; `status` is `scored`, `failed` or
/// `excluded`, `exclusion` says why it was excluded, `group` what the causal filter proved, `error` why it failed. Metrics are as in the records, 0 to 1, and
/// null where they do not apply. `boxes` is a JSON list of the regions found.
///
/// # Errors
///
/// The disk fails.
pub fn write(results: &Results, mut out: impl io::Write) -> io::Result<()> {
    // The writer wants to own its output, which may move between threads; a result takes some hundred bytes.
    let bytes = encode(&columns(results)).map_err(io::Error::other)?;
    out.write_all(&bytes)
}

struct Column {
    name: &'static str,
    values: Values,
}

enum Values {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Truth(Vec<Option<bool>>),
}

/// A line of the file.
struct Line<'a> {
    record: &'a Record,
    result: Option<&'a MethodResult>,
}

fn columns(results: &Results) -> Vec<Column> {
    let records = results.records.iter();
    let lines: Vec<Line<'_>> = records
        .flat_map(|record| match &record.outcome {
            Outcome::Attributed { results } => results
                .iter()
                .map(|result| Line {
                    record,
                    result: Some(result),
                })
                .collect(),
            Outcome::Excluded { .. } | Outcome::Failed { .. } => vec![Line {
                record,
                result: None,
            }],
        })
        .collect();
    let all = lines.as_slice();
    let plan = &results.plan;
    let mut columns = vec![
        text_column("dataset", all, |line| {
            Some(line.record.case.dataset.clone())
        }),
        text_column("model", all, |line| Some(line.record.case.model.clone())),
        text_column("mode", all, |line| {
            Some(line.record.case.mode.name().to_owned())
        }),
        integer("index", all, |line| Some(line.record.case.index)),
        text_column("finding", all, |line| {
            Some(line.record.subject.as_ref()?.finding.clone())
        }),
        text_column("method", all, |line| Some(line.result?.method.clone())),
        truth("control", all, |line| is_control(plan, line)),
        text_column("status", all, |line| Some(line.status().to_owned())),
        text_column("exclusion", all, |line| line.exclusion()),
        text_column("group", all, |line| {
            Some(line.record.subject.as_ref()?.group?.words().to_owned())
        }),
    ];
    columns.extend(
        METRICS
            .iter()
            .map(|(metric, _)| real(metric.name, all, |line| line.metric(metric.name))),
    );
    columns.extend([
        text_column("boxes", all, |line| line.boxes()),
        truth("empty", all, |line| match &line.result?.outcome {
            MethodOutcome::Scored { boxes, .. } => Some(boxes.is_empty()),
            MethodOutcome::Failed { .. } => None,
        }),
        truth("fallback", all, |line| match line.result?.outcome {
            MethodOutcome::Scored { fallback, .. } => Some(fallback),
            MethodOutcome::Failed { .. } => None,
        }),
        integer("calls", all, |line| line.result.map(measure::model_calls)),
        integer("images", all, |line| line.result.map(measure::images)),
        real("seconds", all, |line| {
            Some(
                line.result
                    .map_or(line.record.seconds, |result| result.seconds),
            )
        }),
        text_column("error", all, |line| line.error()),
    ]);
    columns
}

fn is_control(plan: &Plan, line: &Line<'_>) -> Option<bool> {
    Some(plan.method(&line.result?.method)?.control)
}

impl Line<'_> {
    fn status(&self) -> &'static str {
        match (
            &self.record.outcome,
            self.result.map(|result| &result.outcome),
        ) {
            (_, Some(MethodOutcome::Scored { .. })) => "scored",
            (Outcome::Excluded { .. }, _) => "excluded",
            _ => "failed",
        }
    }

    fn exclusion(&self) -> Option<String> {
        match self.record.outcome {
            Outcome::Excluded { reason } => Some(text::exclusion(reason).to_owned()),
            _ => None,
        }
    }

    fn metric(&self, name: &str) -> Option<f64> {
        match &self.result?.outcome {
            MethodOutcome::Scored { metrics, .. } => metrics.get(name).copied(),
            MethodOutcome::Failed { .. } => None,
        }
    }

    fn boxes(&self) -> Option<String> {
        match &self.result?.outcome {
            MethodOutcome::Scored { boxes, .. } => Some(json!(boxes).to_string()),
            MethodOutcome::Failed { .. } => None,
        }
    }

    fn error(&self) -> Option<String> {
        match (
            &self.record.outcome,
            self.result.map(|result| &result.outcome),
        ) {
            (_, Some(MethodOutcome::Failed { error })) | (Outcome::Failed { error }, _) => {
                Some(error.to_string())
            }
            _ => None,
        }
    }
}

fn text_column(
    name: &'static str,
    lines: &[Line<'_>],
    value: impl Fn(&Line<'_>) -> Option<String>,
) -> Column {
    Column {
        name,
        values: Values::Text(lines.iter().map(value).collect()),
    }
}

fn integer(
    name: &'static str,
    lines: &[Line<'_>],
    value: impl Fn(&Line<'_>) -> Option<u64>,
) -> Column {
    let values = lines.iter().map(|line| i64::try_from(value(line)?).ok());
    Column {
        name,
        values: Values::Integer(values.collect()),
    }
}

fn real(
    name: &'static str,
    lines: &[Line<'_>],
    value: impl Fn(&Line<'_>) -> Option<f64>,
) -> Column {
    Column {
        name,
        values: Values::Real(lines.iter().map(value).collect()),
    }
}

fn truth(
    name: &'static str,
    lines: &[Line<'_>],
    value: impl Fn(&Line<'_>) -> Option<bool>,
) -> Column {
    Column {
        name,
        values: Values::Truth(lines.iter().map(value).collect()),
    }
}

fn encode(columns: &[Column]) -> Result<Vec<u8>> {
    let fields: Result<Vec<_>> = columns
        .iter()
        .map(|column| field(column).map(Arc::new))
        .collect();
    let schema = Type::group_type_builder("results")
        .with_fields(fields?)
        .build()?;
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), properties)?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        match &column.values {
            Values::Text(values) => {
                let bytes = values
                    .iter()
                    .map(|value| value.as_deref().map(ByteArray::from));
                add::<ByteArrayType>(&mut group, bytes)?;
            }
            Values::Integer(values) => add::<Int64Type>(&mut group, values.iter().copied())?,
            Values::Real(values) => add::<DoubleType>(&mut group, values.iter().copied())?,
            Values::Truth(values) => add::<BoolType>(&mut group, values.iter().copied())?,
        }
    }
    group.close()?;
    writer.close()?;
    Ok(bytes)
}

fn field(column: &Column) -> Result<Type> {
    let physical = match column.values {
        Values::Text(_) => Physical::BYTE_ARRAY,
        Values::Integer(_) => Physical::INT64,
        Values::Real(_) => Physical::DOUBLE,
        Values::Truth(_) => Physical::BOOLEAN,
    };
    let logical = matches!(column.values, Values::Text(_)).then_some(LogicalType::String);
    Type::primitive_type_builder(column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

/// Writes the next column: the values that are there, and for each line whether one is.
fn add<D: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: impl Iterator<Item = Option<D::T>>,
) -> Result<()> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    let missing = || ParquetError::General("there are more columns than the schema has".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column
        .typed::<D>()
        .write_batch(&present, Some(&levels), None)?;
    column.close()
}
