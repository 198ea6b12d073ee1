#!/usr/bin/python
"""otr_status: documentation, and the way to the program for a task with async."""

# MIT or Apache-2.0 (see LICENSE-MIT and LICENSE-APACHE)

from __future__ import annotations

DOCUMENTATION = r"""
module: otr_status
short_description: How a pair stands
description:
  - Asks every machine of the spec, from the target, how it stands, and whether a standby could be promoted.
version_added: 0.1.0
extends_documentation_fragment: [otr.otr.common]
attributes:
  check_mode: {support: full, description: It changes nothing.}
  diff_mode: {support: none, description: It changes nothing.}
  async: {support: full, description: Needs Python on the target.}
options:
  secrets:
    description:
      - Values of the spec's secrets, by their reference (C(env:REDIS_PASSWORD)) or by the NAME
        in C(env:NAME) and C(credential:NAME). Keep them in a vault.
      - They are sent on standard input and written nowhere but into the files they belong to.
    type: dict
"""

EXAMPLES = r"""
- name: Could the standby take over?
  otr.otr.otr_status:

- name: Be sure before the upgrade of production
  ansible.builtin.assert:
    that: otr_status.ready
    fail_msg: "{{ otr_status.obstacles | join('; ') }}"
"""

RETURN = r"""
ansible_facts:
  description: Facts.
  returned: success
  type: complex
  contains:
    otr_status:
      description: The same as C(otr status --json).
      type: dict
      returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.otr.otr.plugins.module_utils.program import run


def main():
    run(
        AnsibleModule(
            argument_spec=dict(
                secrets=dict(type="dict", no_log=True),
                spec=dict(type="raw"),
                spec_file=dict(type="path"),
                host=dict(type="str"),
                accept_new=dict(type="bool", default=False),
                _otr_program=dict(type="path"),
                _otr_inventory_name=dict(type="str"),
            ),
            supports_check_mode=True,
        ),
        "otr_status",
    )


if __name__ == "__main__":
    main()
