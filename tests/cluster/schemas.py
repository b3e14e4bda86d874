#!/usr/bin/env python3
"""schemas.py KUBECONFIG FOLDER - JSON Schemas of a Kubernetes' kinds, one file each, for kubeconform.

They are made of what the API server itself describes, so they are of its very version. A field that no description knows is
an error.
"""
import json
import pathlib
import subprocess
import sys

GROUPS = ["api/v1"] + [
    f"apis/{group}"
    for group in ("apps/v1", "autoscaling/v2", "batch/v1", "networking.k8s.io/v1", "policy/v1", "rbac.authorization.k8s.io/v1")
]


def strict(schema):
    """The same, with nothing beside what is described."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(part) for name, part in schema.items() if name not in ("default", "description", "format")}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made and "type" in made:
        made["additionalProperties"] = False
    if isinstance(made.get("$ref"), str):
        made["$ref"] = made["$ref"].replace("#/components/schemas/", "#/definitions/")
    return made


def main():
    kubeconfig, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for group in GROUPS:
        asked = ["kubectl", "--kubeconfig", kubeconfig, "get", "--raw", f"/openapi/v3/{group}"]
        described = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)["components"]["schemas"]
        definitions = {name: strict(schema) for name, schema in described.items()}
        for name, schema in described.items():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                short = kind["group"].split(".")[0]
                parts = [kind["kind"], *([short] if short else []), kind["version"]]
                text = json.dumps({"$ref": f"#/definitions/{name}", "definitions": definitions})
                (folder / f"{'-'.join(parts).lower()}.json").write_text(text)


main()
