"""Data: choose sets, upload files, see rows as the model sees them, check them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from tuneglm.config import DataRunConfig, ModelConfig, RunConfig
from tuneglm.data_config import DataConfig, DatasetEntry
from tuneglm.errors import ConfigError, DataError, UserError
from tuneglm.reports.terminal import command
from tuneglm.web import looking
from tuneglm.web.files import Workplace, megabytes
from tuneglm.web.paths import shown, typed
from tuneglm.web.record import SHOWN, Page, Tab, offered

ROWS = 5


def add_data(page: Page) -> Tab:
    """The tab's components and events."""
    words = page.words
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            gr.HTML(f"<p class='lead'>{words('data.lead')}</p>", padding=False, elem_classes="ours")
            upload = gr.File(
                label=words("data.upload", size=megabytes(page.site.work.upload)),
                file_count="multiple",
                height=170,
                elem_id="upload",
            )
            chosen = gr.Dropdown(
                choices=[],
                multiselect=True,
                allow_custom_value=True,
                label=words("data.chosen"),
                info=words("data.chosen_help"),
                elem_id="data-chosen",
            )
            model = gr.Dropdown(
                choices=[*page.site.models],
                value=next(iter(page.site.models)),
                allow_custom_value=True,
                label=words("data.model"),
                info=words("data.model_help"),
                elem_id="data-model",
            )
            with gr.Row():
                preview = gr.Button(words("data.preview"), elem_id="preview")
                check = gr.Button(words("data.check"), variant="primary", elem_id="check")
            delete = gr.Button(words("data.delete"), size="sm", elem_id="delete")
        with gr.Column(scale=3, min_width=300):
            said = gr.HTML(padding=False, elem_classes="ours", elem_id="data-said")
            shown = gr.HTML(
                f'<div class="empty">{words("data.empty")}</div>',
                padding=False,
                elem_classes="ours",
                elem_id="rows",
            )
    acts = DataActs(page)
    upload.upload(acts.upload, [upload, chosen], [upload, chosen, said], **SHOWN)
    preview.click(acts.preview, [chosen, model], [said, shown], **SHOWN)
    check.click(acts.check, [chosen, model], [said, shown], **SHOWN)
    delete.click(acts.delete, [chosen], [chosen, said], **SHOWN)
    return Tab(acts.refresh, [chosen], [chosen], {"chosen": chosen})


@contextmanager
def _received(file: Path) -> Iterator[Path]:
    """A file that was sent, for as long as the block; one that lies elsewhere is not touched."""
    if file.is_symlink() or not file.resolve().is_relative_to(Path(get_upload_folder()).resolve()):
        raise DataError(f"`{file.name}` was not uploaded here.")
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


class DataActs:
    """What happens when something of the tab is used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = page.words

    def refresh(self, chosen: list[str], request: gr.Request) -> Any:
        """What there is to choose."""
        return offered(self._choices(self.page.place(request)), chosen)

    def upload(
        self, files: Sequence[str], chosen: list[str], request: gr.Request
    ) -> tuple[Any, Any, str]:
        """Put the files in their place, and choose them."""
        place = self.page.place(request)
        names, said = [*(chosen or [])], ""
        for file in files:
            try:
                with _received(Path(file)) as received:
                    saved = place.save_upload(received, received.name)
            except UserError as error:
                said += self.page.refusal(error, place)
                continue
            names.append(saved.name)
            said += self.words.good("data.saved", name=saved.name)
        return None, gr.Dropdown(choices=self._choices(place), value=names), said

    def delete(self, chosen: list[str], request: gr.Request) -> tuple[Any, str]:
        """Remove the chosen files that were uploaded."""
        place = self.page.place(request)
        try:
            if not chosen:
                raise ConfigError("No data is chosen.", "choose a set or upload a file first")
            place.delete_uploads(*chosen)
        except UserError as error:
            return gr.Dropdown(choices=self._choices(place)), self.page.refusal(error, place)
        said = self.words.good("data.deleted", name=", ".join(chosen))
        return gr.Dropdown(choices=self._choices(place), value=[]), said

    def preview(self, chosen: list[str], model: str, request: gr.Request) -> tuple[Any, Any]:
        """The first rows, with what of them is trained."""
        place = self.page.place(request)
        try:
            data = self._data(chosen, place)
            path = self.page.site.model_path(model)
            config = RunConfig(model=ModelConfig(path=path), data=data)
            rows = shown(looking.preview(config, ROWS, self.words), place.root)
        except UserError as error:
            return self.page.refusal(error, place), gr.skip()
        return "", rows + self._typed(place, "show", data, path, "--rows", str(ROWS))

    def check(self, chosen: list[str], model: str, request: gr.Request) -> tuple[Any, Any]:
        """Everything there is against every row."""
        place = self.page.place(request)
        try:
            data = self._data(chosen, place)
            path = self.page.site.model_path(model) if model else ""
            named = ModelConfig(path=path) if path else None
            config = DataRunConfig(model=named, data=data)
            found = shown(looking.checked(config, self.words), place.root)
        except UserError as error:
            return self.page.refusal(error, place), gr.skip()
        return "", found + self._typed(place, "check", data, path)

    def _choices(self, place: Workplace) -> list[str]:
        return self.page.site.data_choices(place)

    def _typed(
        self, place: Workplace, verb: str, data: DataConfig, model: str, *options: str
    ) -> str:
        """The command that says the same, as HTML."""
        sets = [typed(entry.path or entry.name or "", place.root) for entry in data.train]
        settings = [f"model.path={typed(model, place.root)}"] if model else []
        if any(entry.name for entry in data.train):
            settings.append(f"data.dir={typed(data.dir, place.root)}")
        return self.words.typed(command("data", verb, *sets, *settings, *options))

    def _data(self, chosen: list[str], place: Workplace) -> DataConfig:
        if not chosen:
            raise ConfigError("No data is chosen.", "choose a set or upload a file first")
        entries = [
            DatasetEntry.model_validate(self.page.site.entry(place, name)) for name in chosen
        ]
        # one process: this one has threads, which a copy of it would not
        return DataConfig(train=tuple(entries), dir=str(self.page.site.data), workers=1)
