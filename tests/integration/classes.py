"""SecretProviderClass documents, as people write them."""

import textwrap


def element(name, type="secret", alias=None, **fields):
    """One entry of `objects`: element("pw", alias="db/password", filePermission="0400")."""
    words = {"objectName": name, "objectType": type}
    if alias is not None:
        words["objectAlias"] = alias
    words.update(fields)
    return "\n".join(f"{key}: {quote(value)}" for key, value in words.items())


def quote(value):
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def objects(elements):
    """The parameter `objects`. elements: texts from element(), or names of secrets."""
    array = "array:\n"
    for entry in elements:
        text = entry if "objectName" in entry else element(entry)
        array += "  - |\n" + textwrap.indent(text, "    ") + "\n"
    return array


def document(elements, vault="kv", name="app", tenant=None, **parameters):
    """The YAML of a class. elements: as of objects()."""
    array = objects(elements)
    lines = [
        "apiVersion: secrets-store.csi.x-k8s.io/v1",
        "kind: SecretProviderClass",
        "metadata:",
        f"  name: {name}",
        "spec:",
        "  provider: azure",
        "  parameters:",
        f"    keyvaultName: {quote(vault)}",
    ]
    if tenant is not None:
        lines.append(f"    tenantID: {quote(tenant)}")
    lines += [f"    {key}: {quote(value)}" for key, value in parameters.items()]
    lines += ["    objects: |", textwrap.indent(array, "      ")]
    return "\n".join(lines)
