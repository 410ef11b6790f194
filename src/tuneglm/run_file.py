"""Reading YAML as people mean it, and a run file in particular."""

import re
from pathlib import Path
from typing import Any

import yaml

from tuneglm.errors import ConfigError
from tuneglm.yaml_faults import yaml_fault

REPLACED_TAGS = (":bool", ":float", ":timestamp")


class _YamlLoader(yaml.SafeLoader):
    """YAML as people mean it, and YAML 1.2 has it: `1e-4` is a number, `no` is a word.

    A key that stands twice is an error: the second would win without a word.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in written:
            if written.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key `{key}` stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(REPLACED_TAGS)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?((\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.inf|\.nan)$"),
    list("-+.0123456789"),
)


def read_yaml(text: str) -> Any:
    """What a YAML text holds; raises yaml.YAMLError where it is none."""
    return yaml.load(text, _YamlLoader)


def read_run_file(path: Path) -> dict[str, Any]:
    """The sections of a run file; raises ConfigError where it is none."""
    if path.is_dir():
        raise ConfigError(f"`{path}` is a folder, not a run file.", _folder_hint(path))
    if not path.is_file():
        raise ConfigError(
            f"There is no run file `{path}`.",
            "a run file is YAML; without one, give overrides such as model.path=FOLDER",
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        # rows of data are not read as YAML, which would take its time
        tree = [] if _holds_rows(path, text) else read_yaml(text)
    except UnicodeDecodeError:
        raise ConfigError(f"`{path}` is not in UTF-8.", "save it in UTF-8") from None
    except yaml.YAMLError as error:
        told, remedy = yaml_fault(error, text)
        raise ConfigError(f"`{path}` is not readable YAML: {told}.", remedy) from None
    except OSError as error:
        raise ConfigError(f"`{path}` cannot be read: {error.strerror}.") from None
    if isinstance(tree, list):
        raise ConfigError(f"`{path}` holds rows, not a run.", f"give data so: data.train={path}")
    if not isinstance(tree, dict):
        raise ConfigError(f"`{path}` holds no sections; a run file begins with `model:`.")
    return tree


def _holds_rows(path: Path, text: str) -> bool:
    start = text.lstrip()[:1]
    return start == "[" or (start == "{" and path.suffix == ".jsonl")


def _folder_hint(folder: Path) -> str:
    if (folder / "run.yaml").is_file():
        return f"its run file: {folder / 'run.yaml'}"
    if (folder / "config.json").is_file():
        return f"a model's folder is given so: model.path={folder}"
    return "a run file is YAML; without one, give overrides such as model.path=FOLDER"
