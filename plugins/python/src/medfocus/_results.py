"""A folder of an experiment's results."""

import json
from pathlib import Path

import numpy as np


def read(folder):
    """The results in a folder that `medfocus run` wrote, finished or not."""
    return Run(folder)


class Run:
    """The results of an experiment. Tables need pandas, `results` also pyarrow."""

    def __init__(self, folder):
        self.folder = Path(folder)
        plan = self.folder / "plan.json"
        if not plan.is_file():
            raise FileNotFoundError(f"{self.folder} holds no plan.json; name the folder of an experiment's results")
        self.plan = json.loads(plan.read_text())

    @property
    def table(self):
        """The report's table: a row for each dataset, model, mode and method."""
        return _pandas().read_csv(self.folder / "table.csv")

    @property
    def results(self):
        """A row for each sample and method."""
        return _pandas().read_parquet(self.folder / "results.parquet")

    @property
    def records(self):
        """Everything known of every sample, a dictionary each."""
        return self._lines("journal.jsonl")

    @property
    def filtered(self):
        """What the causal filter found of every sample, a dictionary each; none if there was no filter."""
        return self._lines("filter.jsonl")

    def heat(self, case, method):
        """The heat map (224, 224) of a method for the `case` of a record; only where the experiment kept `heatmaps`."""
        cell = f"{case['dataset']}-{case['model']}-{case['mode']}"
        return np.load(self.folder / "heatmaps" / _slug(cell) / str(case["index"]) / f"{_slug(method)}.npy")

    def boxes(self, record, method):
        """The boxes (N, 4) of a method in a record's image as it was read: x1, y1, x2, y2; strongest first."""
        for result in record.get("results", ()):
            if result["method"] == method and result["status"] == "scored":
                found = [box["native"]["corners"] for box in result["boxes"] if box["native"]]
                return np.array(found, np.int64).reshape(-1, 4)
        raise KeyError(f"there is no result of {method} for sample {record['case']['index']}")

    def _lines(self, name):
        path = self.folder / name
        if not path.is_file():
            return []
        lines = path.read_text().split("\n")
        # A run that was killed may leave the beginning of a line.
        return [json.loads(line) for line in lines[:-1]]


def _slug(name):
    plain = "".join(c if c.isascii() and c.isalnum() or c in "-_." else "_" for c in name)
    return plain.lstrip(".") or "_"


def _pandas():
    try:
        import pandas
    except ImportError as error:
        raise ImportError("tables need pandas: pip install 'medfocus[tables]'") from error
    return pandas
