"""What pydicom and highdicom make of the DICOM objects in a folder, as JSON; the picture's pixels go into a file."""

import json
import pathlib
import sys

import highdicom
import pydicom


def coded(item):
    return [item.value, item.scheme_designator, item.meaning]


def measured(group):
    found = {}
    for item in group.get_measurements():
        found[item.name.value] = [item.value, coded(item.unit)]
    return found


def sites(group):
    found = []
    for item in group.finding_sites:
        side = item.laterality
        found.append([coded(item.value), side and coded(side)])
    return found


def region(group):
    image = group.roi.ContentSequence[0].ReferencedSOPSequence[0]
    return {
        "tracking": group.tracking_identifier,
        "finding": coded(group.finding_type),
        "sites": sites(group),
        "points": group.roi.value.tolist(),
        "image": image.ReferencedSOPInstanceUID,
        "measured": measured(group),
    }


def concept(group):
    return {"finding": coded(group.finding_type), "sites": sites(group), "measured": measured(group)}


def head(dataset):
    return {
        "study": dataset.StudyInstanceUID,
        "series": dataset.SeriesInstanceUID,
        "patient": str(dataset.PatientName),
        "id": dataset.PatientID,
        "removed": dataset.get("PatientIdentityRemoved"),
        "modality": dataset.Modality,
        "equipment": [item.ContributionDescription for item in dataset.ContributingEquipmentSequence],
    }


def texts(dataset, found):
    for item in dataset.get("ContentSequence", []):
        if item.ValueType == "TEXT":
            name = item.ConceptNameCodeSequence[0].CodeValue
            found.setdefault(name, []).append(item.TextValue)
        texts(item, found)
    return found


folder = pathlib.Path(sys.argv[1])
capture, report, state = (
    pydicom.dcmread(folder / f"explanation.{kind}.dcm") for kind in ("sc", "sr", "gsps")
)
(folder / "pixels.raw").write_bytes(capture.pixel_array.tobytes())
tree = highdicom.sr.ComprehensiveSR.from_dataset(report)
evidence = report.CurrentRequestedProcedureEvidenceSequence[0]
annotation = state.GraphicAnnotationSequence[0]
print(
    json.dumps(
        {
            "sc": head(capture)
            | {
                "size": [capture.Columns, capture.Rows],
                "spacing": [float(value) for value in capture.PixelSpacing],
                "source": capture.SourceImageSequence[0].ReferencedSOPInstanceUID,
            },
            "sr": head(report)
            | {
                "regions": [region(group) for group in tree.content.get_planar_roi_measurement_groups()],
                "concepts": [concept(group) for group in tree.content.get_image_measurement_groups()],
                "texts": texts(report, {}),
                "verified": report.VerificationFlag,
                "evidence": [
                    evidence.StudyInstanceUID,
                    evidence.ReferencedSeriesSequence[0].SeriesInstanceUID,
                    evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID,
                ],
            },
            "gsps": head(state)
            | {
                "points": [list(item.GraphicData) for item in annotation.get("GraphicObjectSequence", [])],
                "texts": [item.UnformattedTextValue for item in annotation.TextObjectSequence],
                "image": annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID,
                "area": list(state.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner),
                "window": "SoftcopyVOILUTSequence" in state,
            },
        }
    )
)
