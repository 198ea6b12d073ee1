#!/usr/bin/python
"""otr: documentation, and the way to the program for a task with async."""

# MIT or Apache-2.0 (see LICENSE-MIT and LICENSE-APACHE)

from __future__ import annotations

DOCUMENTATION = r"""
module: otr
short_description: Make a machine of an Odoo what its spec says
description:
  - Looks at the target in one trip, compares it with the spec and, for a standby, with production;
    shows the difference, and removes it.
version_added: 0.1.0
extends_documentation_fragment: [otr.otr.common]
attributes:
  check_mode: {support: full, description: The plan.}
  diff_mode: {support: full, description: Of every text that differs. Secrets are left out.}
  async: {support: full, description: Needs Python on the target.}
options:
  state:
    description:
      - C(planned) changes nothing, C(applied) makes the target what the spec says, C(synced) gives a
        standby production's attachments and sessions.
    choices: [planned, applied, synced]
    default: applied
    type: str
  only:
    description: Kinds of resources; all if absent. C(packages), C(pip), C(file), C(odoo-conf), C(unit) and so on.
    type: list
    elements: str
  replace_data:
    description: Agree that a copy of production replaces the PostgreSQL data of this standby.
    type: bool
    default: false
  restarts:
    description:
      - Agree that services of production are restarted, which interrupts its users. Without it, and outside the
        spec's C(maintenance.window), all else is done and the task fails with what is left.
    type: bool
    default: false
  secrets:
    description:
      - Values of the spec's secrets, by their reference (C(env:REDIS_PASSWORD)) or by the NAME
        in C(env:NAME) and C(credential:NAME). Keep them in a vault.
      - They are sent on standard input and written nowhere but into the files they belong to.
    type: dict
"""

EXAMPLES = r"""
- name: How does it differ?
  otr.otr.otr:
    spec_file: specs/acme.yaml
    state: planned

- name: Make it so
  otr.otr.otr:
    spec_file: specs/acme.yaml
    secrets:
      env:REDIS_PASSWORD: "{{ vault_redis_password }}"
  become: true

- name: One file, from a spec in the playbook
  otr.otr.otr:
    host: erp2
    spec:
      version: 1
      name: acme
      production: erp1
      hosts: {erp1: {address: 192.0.2.11}, erp2: {address: local}}
      files: [{path: /etc/motd, content: "a standby\n"}]

- name: Move the attachments
  otr.otr.otr:
    state: synced
  async: 3600
  poll: 30
"""

RETURN = r"""
resources:
  description: What does not hold, was changed, or could not be seen, with differences and actions.
  type: list
  elements: dict
  returned: success
summary:
  description: Counts of states and outcomes.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.otr.otr.plugins.module_utils.program import run


def main():
    run(
        AnsibleModule(
            argument_spec=dict(
                state=dict(type="str", choices=["planned", "applied", "synced"], default="applied"),
                only=dict(type="list", elements="str"),
                secrets=dict(type="dict", no_log=True),
                replace_data=dict(type="bool", default=False),
                restarts=dict(type="bool", default=False),
                spec=dict(type="raw"),
                spec_file=dict(type="path"),
                host=dict(type="str"),
                accept_new=dict(type="bool", default=False),
                _otr_program=dict(type="path"),
                _otr_inventory_name=dict(type="str"),
            ),
            supports_check_mode=True,
        ),
        "otr",
    )


if __name__ == "__main__":
    main()
