"""One file for both: the hosts of a spec as an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spec
short_description: The hosts of an otr spec, grouped by role
description:
  - Every host of a spec, in the groups C(production), C(standby) and C(witness), and in one named
    as the spec. After a promotion the groups follow the spec's one line C(production).
  - The name of the configuration must end in C(otr.yaml) or C(otr.yml).
options:
  plugin:
    description: C(otr.otr.spec).
    required: true
    choices: [otr.otr.spec]
  specs:
    description: Paths of specs; beside this file if they are relative.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
# inventory/otr.yaml
plugin: otr.otr.spec
specs: [../specs/acme.yaml]
"""

import os

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from yaml import YAMLError, safe_load


class InventoryModule(BaseInventoryPlugin):
    NAME = "otr.otr.spec"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(("otr.yaml", "otr.yml"))

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        for name in self.get_option("specs"):
            self._add(os.path.join(os.path.dirname(os.path.abspath(path)), str(name)))

    def _add(self, path):
        try:
            with open(path, encoding="utf-8") as file:
                spec = safe_load(file)
            hosts, production, name = spec["hosts"], spec["production"], str(spec["name"])
        except (OSError, YAMLError, TypeError, KeyError) as error:
            raise AnsibleParserError(f"{path} is no spec of otr ({error}); `otr check` says more") from error
        group = self.inventory.add_group(name.replace("-", "_"))
        for host, about in hosts.items():
            about = about or {}
            role = "production" if host == production else "witness" if about.get("role") == "witness" else "standby"
            self.inventory.add_group(role)
            self.inventory.add_host(host, group=role)
            self.inventory.add_host(host, group=group)
            for key, value in self._variables(path, about).items():
                self.inventory.set_variable(host, key, value)

    def _variables(self, path, about):
        ssh = about.get("ssh") or {}
        address = about.get("address")
        variables = {
            # `local` is where otr runs; from elsewhere it is reached where the others reach it.
            "ansible_host": about.get("listen") if address == "local" else address,
            "ansible_connection": "local" if address == "local" and not about.get("listen") else None,
            "ansible_port": about.get("port"),
            "ansible_user": about.get("user"),
            "ansible_become": True if about.get("become") == "sudo" else None,
            "ansible_ssh_private_key_file": ssh.get("identity"),
            "otr_spec": os.path.abspath(path),
        }
        return {key: value for key, value in variables.items() if value is not None}
