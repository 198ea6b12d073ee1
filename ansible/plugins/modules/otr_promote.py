#!/usr/bin/python
"""otr_promote: documentation, and the way to the program for a task with async."""

# MIT or Apache-2.0 (see LICENSE-MIT and LICENSE-APACHE)

from __future__ import annotations

DOCUMENTATION = r"""
module: otr_promote
short_description: Make a standby production
description:
  - Runs C(otr promote) on the target. It goes on only if production is seen to be down, or stated to be.
  - The spec must be a file on the target, for a promotion that was interrupted is taken up again from it.
version_added: 0.1.0
extends_documentation_fragment: [otr.otr.common]
attributes:
  check_mode: {support: full, description: Whether it could be done.}
  diff_mode: {support: none, description: Its steps are in the report.}
  async: {support: full, description: Needs Python on the target.}
options:
  production_is_down:
    description: State that this host is down, where that cannot be seen. It is put on record.
    type: str
  write_spec:
    description: Change the one line of the spec afterwards.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The bad night
  otr.otr.otr_promote:
    spec: /etc/otr/spec.yaml
    host: erp2
    production_is_down: erp1
    write_spec: true
  become: true
"""

RETURN = r"""
report:
  description: The same as C(otr promote --json).
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.otr.otr.plugins.module_utils.program import run


def main():
    run(
        AnsibleModule(
            argument_spec=dict(
                production_is_down=dict(type="str"),
                write_spec=dict(type="bool", default=False),
                spec=dict(type="raw"),
                spec_file=dict(type="path"),
                host=dict(type="str"),
                accept_new=dict(type="bool", default=False),
                _otr_program=dict(type="path"),
                _otr_inventory_name=dict(type="str"),
            ),
            supports_check_mode=True,
        ),
        "otr_promote",
    )


if __name__ == "__main__":
    main()
