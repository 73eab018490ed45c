"""Reads what trackers wrote, by their own libraries, as (steps, values) per name and run."""

import struct
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

__all__ = ["READERS", "Shown", "read_mlflow", "read_tensorboard", "read_wandb"]


class Shown:
    """What a tracker shows of one run."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.reasons: dict[int, str] = {}
        self.params: dict[str, str] = {}
        self.outcome: dict[str, str] = {}
        self.status = ""


def records_of(content: bytes, *, start: int, block: int) -> list[bytes]:
    """The records of a log as LevelDB writes it, of which W&B's files are."""
    found, part, place = [], b"", start
    while place + 7 <= len(content):
        room = block - place % block
        if room < 7:
            place += room
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        if not kind:
            place += room
            continue
        part += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(part)
            part = b""
    return found


def read_tensorboard(folder: Path) -> dict[str, Shown]:
    """Event files, by tensorboardX's own messages: it has no reader."""
    pytest.importorskip("tensorboardX", reason="it comes with ray[tune]")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    shown: dict[str, Shown] = {}
    for file in sorted((folder / "tensorboard").glob("*/*/events.out.tfevents.*")):
        assert file.parent.name not in shown, "one file for a run"
        run = shown[file.parent.name] = Shown()
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack("<Q", content[place : place + 8])
            event = Event.FromString(content[place + 12 : place + 12 + length])
            place += length + 16
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "hparams":
                    data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                    run.params |= {
                        name: next(str(getattr(each, field.name)) for field, _ in each.ListFields())
                        for name, each in data.session_start_info.hparams.items()
                        if each.ListFields()
                    }
                elif value.HasField("simple_value"):
                    run.points[value.tag].append((event.step, value.simple_value))
                elif value.tag.startswith("decision/reason"):
                    run.reasons[event.step] = value.tensor.string_val[0].decode()
        run.outcome = {name: str(each[-1][1]) for name, each in run.points.items() if "outcome" in name}
        run.status = run.params.pop("status", "")
    return shown


def read_mlflow(folder: Path) -> dict[str, Shown]:
    """MLflow's SQLite file, by its client."""
    pytest.importorskip("mlflow", reason="pip install 'adasearch[mlflow]'")
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    shown: dict[str, Shown] = {}
    for experiment in client.search_experiments():
        for found in client.search_runs([experiment.experiment_id]):
            assert found.info.run_name not in shown, "one run of a name"
            run = shown[found.info.run_name] = Shown()
            for name in found.data.metrics:
                history = client.get_metric_history(found.info.run_id, name)
                run.points[name] = [(each.step, each.value) for each in history]
            run.params = dict(found.data.params)
            run.outcome = {name: str(each[-1][1]) for name, each in run.points.items() if "outcome" in name}
            for artifact in client.list_artifacts(found.info.run_id):
                text = Path(client.download_artifacts(found.info.run_id, artifact.path)).read_text()
                lines = [line.split("\t") for line in text.splitlines()]
                run.reasons = {int(step): reason for step, reason in lines}
            run.status = found.data.tags.get("adasearch.status", "")
    return shown


def read_wandb(folder: Path) -> dict[str, Shown]:
    """Offline files of W&B, by its own messages."""
    pytest.importorskip("wandb", reason="pip install 'adasearch[wandb]'")
    import json
    from importlib import import_module

    message: Any = import_module("wandb.proto.wandb_internal_pb2")  # types do not know its classes

    def records(file: Path) -> list[Any]:
        """A run's records once the last is there: the service writes it after the run has finished."""
        until = time.monotonic() + 20
        while True:
            parts = records_of(file.read_bytes(), start=7, block=32768)
            found: list[Any] = [message.Record.FromString(each) for each in parts]
            if any(each.HasField("exit") for each in found):
                return found
            assert time.monotonic() < until, f"{file} is not whole"
            time.sleep(0.1)

    shown: dict[str, Shown] = {}
    for file in sorted((folder / "wandb").glob("offline-run-*/run-*.wandb")):
        run = Shown()
        for record in records(file):
            if record.HasField("run"):
                assert record.run.display_name not in shown, "one run of a name"
                shown[record.run.display_name] = run
                for item in record.run.config.update:
                    run.params[item.key or "/".join(item.nested_key)] = str(json.loads(item.value_json))
            row = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            for name, value in row.items():
                if name == "decision/reason":
                    run.reasons[row["_step"]] = value
                elif not name.startswith("_"):
                    run.points[name].append((row["_step"], float(value)))
            for item in record.summary.update:
                name = item.key or "/".join(item.nested_key)
                if name.startswith("outcome/"):
                    run.outcome[name] = str(json.loads(item.value_json))
        run.status = run.outcome.get("outcome/status", "")
    return shown


READERS = {"tensorboard": read_tensorboard, "mlflow": read_mlflow, "wandb": read_wandb}
