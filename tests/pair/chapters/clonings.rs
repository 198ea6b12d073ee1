//! The table of what people do on production after the standby was cloned, in rounds: what is
//! done, what plan must call it, and how to see on the standby that it came.

/// One row.
pub struct Cloning {
    /// Its name.
    pub name: &'static str,
    /// What somebody does on production, as root.
    pub tamper: &'static str,
    /// The kind of the standby's resource that plan must name.
    pub kind: &'static str,
    /// The difference's own name; ending in `*`: its beginning. Empty: no difference at all.
    pub what: &'static str,
    /// Words of the difference: how it is, and how it is on production.
    pub words: &'static [&'static str],
    /// What must hold on the standby afterwards.
    pub check: &'static str,
}

macro_rules! rows {
    ($($name:literal: $tamper:literal => $kind:literal $what:literal $words:tt check $check:literal;)*) => {
        &[$(Cloning { name: $name, tamper: $tamper, kind: $kind, what: $what, words: &$words, check: $check }),*]
    };
}

/// What is new, changed and gone. A round begins with a standby that does not differ.
pub const ROUNDS: &[(&str, &[Cloning])] = &[("added", ADDED), ("changed", CHANGED), ("removed", REMOVED)];

const ADDED: &[Cloning] = rows! {
    "source_added": "echo 'deb [trusted=yes signed-by=/etc/apt/keyrings/acme.gpg] http://10.77.0.11:8001/ ./' >/etc/apt/sources.list.d/acme.list"
        => "sources" "/etc/apt/sources.list.d/acme.list" ["8001"] check "grep -q 8001 /etc/apt/sources.list.d/acme.list";
    "keyring_added": "mkdir -p /etc/apt/keyrings; printf '\\231\\001not really a key' >/etc/apt/keyrings/acme.gpg"
        => "sources" "/etc/apt/keyrings*" [] check "test $(stat -c %s /etc/apt/keyrings/acme.gpg) = 18";
    "package_installed": "apt-get update -qq; apt-get install -qq -y acme-tool=2.0 >/dev/null"
        => "packages" "acme-tool" ["2.0"] check "acme-tool | grep -qx 'acme-tool 2.0'";
    "debconf_answered": "printf 'acme-tool acme-tool/greeting string hello  there\nacme-tool acme-tool/other string no\n' | debconf-set-selections"
        => "debconf" "acme-tool/greeting" ["absent", "hello  there"] check "debconf-show acme-tool | grep -q 'greeting: hello  there' && ! debconf-show acme-tool | grep -q other";
    "debconf_password": "echo 'acme-tool acme-tool/secret password hunter6' | debconf-set-selections"
        => "debconf" "acme-tool/secret" ["sensitive"] check "echo 'GET acme-tool/secret' | debconf-communicate acme-tool | grep -qx '0 hunter6' && ! grep -q hunter6 /var/cache/debconf/config.dat";
    "package_upgraded": "apt-get install -qq -y --allow-change-held-packages otr-lab-tool=1.1 >/dev/null; apt-mark hold otr-lab-tool >/dev/null"
        => "packages" "otr-lab-tool" ["1.0", "1.1"] check "otr-lab-tool | grep -qx 'otr-lab-tool 1.1' && apt-mark showhold | grep -qx otr-lab-tool";
    "package_held": "apt-mark hold tree >/dev/null"
        => "packages" "tree hold" ["held"] check "apt-mark showhold | grep -qx tree";
    "package_marked_as_a_dependency": "apt-mark auto acl >/dev/null"
        => "packages" "acl mark" ["dependency"] check "apt-mark showauto | grep -qx acl";
    "vcs_install": "pip3 install -q git+http://10.77.0.11:8001/acme_vcs.git@one"
        => "pip" "acme-vcs" ["git+http://10.77.0.11:8001/acme_vcs.git@"] check "cd /; test $(python3 -c 'import acme_vcs; print(acme_vcs.said)') = one";
    "requirements_grew": ":"
        => "pip" "what pip installed there" ["lines"] check "grep -q '^acme-vcs @ git+http://10.77.0.11:8001/acme_vcs.git@' /var/lib/otr/requirements.txt";
    "odoo_conf_key_added": "sed -i 's/^db_user.*/&\\nlimit_memory_hard = 3000000000/' /etc/odoo/odoo.conf"
        => "odoo-conf" "limit_memory_hard" ["3000000000"] check "grep -qx 'limit_memory_hard = 3000000000' /etc/odoo/odoo.conf";
    "odoo_conf_password_added": "sed -i 's/^db_user.*/&\\nsmtp_password = hunter2/' /etc/odoo/odoo.conf"
        => "odoo-conf" "smtp_password" ["sensitive"] check "grep -qx 'smtp_password = hunter2' /etc/odoo/odoo.conf";
    "odoo_conf_key_of_the_host": "sed -i 's/^workers = .*/workers = 3/' /etc/odoo/odoo.conf"
        => "odoo-conf" "" [] check "grep -qx 'workers = 0' /etc/odoo/odoo.conf";
    "site_added": "echo 'server { listen 81; }' >/etc/nginx/sites-available/shop; echo old >/etc/nginx/sites-available/shop.bak"
        => "clone" "/etc/nginx/sites-available/shop" ["listen 81"] check "grep -q 81 /etc/nginx/sites-available/shop && test ! -e /etc/nginx/sites-available/shop.bak";
    "site_enabled": "ln -s ../sites-available/shop /etc/nginx/sites-enabled/shop"
        => "clone" "/etc/nginx/sites-enabled/shop" ["a link to ../sites-available/shop"] check "test $(readlink /etc/nginx/sites-enabled/shop) = ../sites-available/shop";
    "drop_in_added": "printf '[Service]\\nLimitNOFILE=4096\\n' >/etc/systemd/system/cron.service.d/files.conf"
        => "clone" "/etc/systemd/system/cron.service.d/files.conf" ["sensitive"] check "test $(systemctl show -p LimitNOFILE --value cron) = 4096 && test $(systemctl show -p Nice --value cron) = 5";
    "cron_file_added": "echo '0 3 * * * root true' >/etc/cron.d/acme-night"
        => "clone" "/etc/cron.d/acme-night" ["sensitive"] check "grep -q '0 3' /etc/cron.d/acme-night";
    "certificate_added": "install -m 600 -o odoo -g odoo /dev/null /etc/ssl/acme/shop.key; echo '-----BEGIN PRIVATE KEY----- hunter3' >/etc/ssl/acme/shop.key"
        => "clone" "/etc/ssl/acme/shop.key" ["sensitive"] check "test \"$(stat -c '%U %a' /etc/ssl/acme/shop.key)\" = 'odoo 600' && grep -q hunter3 /etc/ssl/acme/shop.key";
    "addon_added": "cd /usr/share/odoo-acme; umask 002; mkdir -p acme_new/models; echo 'import odoo' | tee acme_new/__init__.py acme_new/models/a.py; ln -s ../acme_base/__manifest__.py acme_new/linked.py; chown -R odoo:odoo acme_new"
        => "addons" "acme_new*" [] check "cd /usr/share/odoo-acme/acme_new; test $(stat -c %U:%G models/a.py) = odoo:odoo; test $(readlink linked.py) = ../acme_base/__manifest__.py; python3 -m compileall -q models";
    "file_of_an_addon_added": "cd /usr/share/odoo-acme/acme_base; install -m 640 -o odoo -g odoo /dev/null \"it's new.py\"; echo \"x = 'hunter7'\" >\"it's new.py\"; echo noise >server.log"
        => "addons" "acme_base/it's new.py" ["absent", "14 bytes"] check "cd /usr/share/odoo-acme/acme_base; test $(stat -c %a \"it's new.py\") = 640 && grep -q hunter7 \"it's new.py\" && test ! -e server.log";
    "uncommitted_edit_in_a_checkout": "echo '# by hand' >>/usr/share/odoo-acme/oca/web_more/numbers.py"
        => "addons" "oca/web_more/numbers.py" [] check "cd /usr/share/odoo-acme/oca; test \"$(runuser -u odoo -- git status --porcelain)\" = ' M web_more/numbers.py'";
};

const CHANGED: &[Cloning] = rows! {
    "source_edited": "sed -i 's/trusted=yes/trusted=yes arch=amd64/' /etc/apt/sources.list.d/acme.list"
        => "sources" "/etc/apt/sources.list.d/acme.list" ["arch=amd64"] check "grep -q arch=amd64 /etc/apt/sources.list.d/acme.list";
    "keyring_replaced": "printf '\\231\\001another key' >/etc/apt/keyrings/acme.gpg"
        => "sources" "/etc/apt/keyrings/acme.gpg" ["sensitive"] check "grep -aq another /etc/apt/keyrings/acme.gpg";
    "package_downgraded": "apt-get install -qq -y --allow-downgrades acme-tool=1.0 >/dev/null"
        => "packages" "acme-tool" ["2.0", "1.0"] check "acme-tool | grep -qx 'acme-tool 1.0'";
    "package_released": "apt-mark unhold tree >/dev/null"
        => "packages" "tree hold" ["not held"] check "! apt-mark showhold | grep -qx tree";
    "package_marked_as_asked_for": "apt-mark manual acl >/dev/null"
        => "packages" "acl mark" ["asked for"] check "apt-mark showmanual | grep -qx acl";
    "pip_module_upgraded": "pip3 install -q phonenumbers==8.12.2"
        => "pip" "phonenumbers" ["8.12.1", "8.12.2"] check "test -d /usr/local/lib/python3.9/dist-packages/phonenumbers-8.12.2.dist-info";
    "vcs_install_of_a_new_commit": "pip3 install -q --force-reinstall --no-deps git+http://10.77.0.11:8001/acme_vcs.git@two"
        => "pip" "acme-vcs" ["0.1 (git+http://"] check "cd /; test $(python3 -c 'import acme_vcs; print(acme_vcs.said)') = two";
    "requirements_changed": ":"
        => "pip" "what pip installed there" ["lines"] check "grep -qx 'phonenumbers==8.12.2' /var/lib/otr/requirements.txt";
    "odoo_conf_key_changed": "sed -i 's/^limit_time_cpu = .*/limit_time_cpu = 300/' /etc/odoo/odoo.conf"
        => "odoo-conf" "limit_time_cpu" ["120", "300"] check "grep -qx 'limit_time_cpu = 300' /etc/odoo/odoo.conf";
    "odoo_conf_password_changed": "sed -i 's/^smtp_password = .*/smtp_password = hunter4/' /etc/odoo/odoo.conf"
        => "odoo-conf" "smtp_password" ["sensitive"] check "grep -qx 'smtp_password = hunter4' /etc/odoo/odoo.conf";
    "site_edited": "sed -i 's/81/82/' /etc/nginx/sites-available/shop"
        => "clone" "/etc/nginx/sites-available/shop" ["listen 81", "listen 82"] check "grep -q 82 /etc/nginx/sites-available/shop";
    "link_retargeted": "ln -sfn ../sites-available/default /etc/nginx/sites-enabled/shop"
        => "clone" "/etc/nginx/sites-enabled/shop" ["a link to ../sites-available/shop", "a link to ../sites-available/default"] check "test $(readlink /etc/nginx/sites-enabled/shop) = ../sites-available/default";
    "drop_in_edited": "sed -i 's/4096/5000/' /etc/systemd/system/cron.service.d/files.conf"
        => "clone" "/etc/systemd/system/cron.service.d/files.conf" [] check "grep -q 'open files *5000' /proc/$(systemctl show -p MainPID --value cron)/limits";
    "cron_file_edited": "sed -i 's/0 3/5 3/' /etc/cron.d/acme-night"
        => "clone" "/etc/cron.d/acme-night" ["sensitive"] check "grep -q '5 3' /etc/cron.d/acme-night";
    "certificate_replaced": "echo '-----BEGIN PRIVATE KEY----- hunter5' >/etc/ssl/acme/shop.key"
        => "clone" "/etc/ssl/acme/shop.key" ["sensitive"] check "grep -q hunter5 /etc/ssl/acme/shop.key";
    "mode_changed": "chmod 640 /etc/ssl/acme/shop.pem"
        => "clone" "/etc/ssl/acme/shop.pem owner and mode" ["0644", "0640"] check "test $(stat -c %a /etc/ssl/acme/shop.pem) = 640";
    "owner_changed": "chown odoo:odoo /etc/nginx/sites-available/default"
        => "clone" "/etc/nginx/sites-available/default owner and mode" ["root:root", "odoo:odoo"] check "test $(stat -c %U:%G /etc/nginx/sites-available/default) = odoo:odoo";
    "file_became_a_folder": "rm /etc/nginx/mime; mkdir /etc/nginx/mime; echo x >/etc/nginx/mime/types"
        => "clone" "/etc/nginx/mime*" [] check "grep -q x /etc/nginx/mime/types";
    "addon_edited": "echo \"x = 'hunter8'\" >>/usr/share/odoo-acme/acme_sale/models/sale.py"
        => "addons" "acme_sale/models/sale.py" [] check "grep -q hunter8 /usr/share/odoo-acme/acme_sale/models/sale.py && test $(stat -c %U /usr/share/odoo-acme/acme_sale/models/sale.py) = odoo";
    "addon_edited_with_its_size_and_time_kept": "cd /usr/share/odoo-acme/acme_base; touch -r __manifest__.py /tmp/when; sed s/acme_base/acme_bose/ __manifest__.py >/tmp/new; cat /tmp/new >__manifest__.py; touch -r /tmp/when __manifest__.py"
        => "addons" "acme_base/__manifest__.py" ["SHA-1"] check "grep -q acme_bose /usr/share/odoo-acme/acme_base/__manifest__.py";
    "addon_given_to_another": "chown root:odoo /usr/share/odoo-acme/acme_base; chmod 2750 /usr/share/odoo-acme/acme_base"
        => "addons" "acme_base owner and mode" ["odoo:odoo 2775", "root:odoo 2750"] check "test \"$(stat -c '%U:%G %a' /usr/share/odoo-acme/acme_base)\" = 'root:odoo 2750'";
    "file_of_an_addon_became_a_link": "cd /usr/share/odoo-acme/acme_sale; ln -sf ../acme_base/__init__.py __init__.py"
        => "addons" "acme_sale/__init__.py" ["a link to ../acme_base/__init__.py"] check "test -L /usr/share/odoo-acme/acme_sale/__init__.py";
    "new_commit_in_a_checkout": "cd /usr/share/odooext-oca-web; echo \"said = 'three'\" >web_acme/said.py; runuser -u odoo -- git -c user.name=kim -c user.email=kim@localhost commit -qam three"
        => "addons" "the checkout" ["14.0"] check "cd /usr/share/odooext-oca-web; test $(runuser -u odoo -- git log -1 --format=%s) = three && test -z \"$(runuser -u odoo -- git status --porcelain)\" && runuser -u odoo -- git fsck";
    "file_of_the_new_commit": ":"
        => "addons" "web_acme/said.py" [] check "grep -q three /usr/share/odooext-oca-web/web_acme/said.py";
    "checkout_at_another_revision": "cd /usr/share/odoo-acme/oca; runuser -u odoo -- git checkout -q --force one"
        => "addons" "the checkout oca" ["14.0"] check "cd /usr/share/odoo-acme/oca; test $(runuser -u odoo -- git describe --tags) = one && test -z \"$(runuser -u odoo -- git status --porcelain)\" && test ! -e web_acme/said.py";
    "files_of_the_other_revision": ":"
        => "addons" "oca/web_*" [] check "! grep -q hand /usr/share/odoo-acme/oca/web_more/numbers.py";
};

const REMOVED: &[Cloning] = rows! {
    "package_removed": "apt-get remove -qq -y acme-tool >/dev/null"
        => "packages" "acme-tool" ["1.0", "absent"] check "! command -v acme-tool";
    "source_removed": "rm /etc/apt/sources.list.d/acme.list; apt-get update -qq"
        => "sources" "/etc/apt/sources.list.d/acme.list" ["absent"] check "test ! -e /etc/apt/sources.list.d/acme.list && ! apt-cache policy | grep -q 8001";
    "keyring_removed": "rm /etc/apt/keyrings/acme.gpg"
        => "sources" "/etc/apt/keyrings/acme.gpg" ["absent"] check "test ! -e /etc/apt/keyrings/acme.gpg";
    "vcs_install_removed": "pip3 uninstall -q -y acme_vcs"
        => "pip" "acme-vcs" ["absent"] check "cd /; ! python3 -c 'import acme_vcs' 2>/dev/null";
    "requirements_shrank": ":"
        => "pip" "what pip installed there" ["lines"] check "! grep -q acme-vcs /var/lib/otr/requirements.txt";
    "odoo_conf_key_removed": "sed -i '/^limit_memory_hard/d' /etc/odoo/odoo.conf"
        => "odoo-conf" "limit_memory_hard" ["absent"] check "! grep -q limit_memory_hard /etc/odoo/odoo.conf";
    "odoo_conf_password_removed": "sed -i '/^smtp_password/d' /etc/odoo/odoo.conf"
        => "odoo-conf" "smtp_password" ["absent"] check "! grep -q smtp_password /etc/odoo/odoo.conf";
    "site_removed": "rm /etc/nginx/sites-available/shop"
        => "clone" "/etc/nginx/sites-available/shop" ["absent"] check "test ! -e /etc/nginx/sites-available/shop && test -e /var/lib/otr/backup/etc/nginx/sites-available/shop";
    "link_removed": "rm /etc/nginx/sites-enabled/shop"
        => "clone" "/etc/nginx/sites-enabled/shop" ["absent"] check "test ! -L /etc/nginx/sites-enabled/shop";
    "folder_removed": "rm -r /etc/nginx/mime"
        => "clone" "/etc/nginx/mime*" ["absent"] check "test ! -e /etc/nginx/mime";
    "drop_in_removed": "rm /etc/systemd/system/cron.service.d/files.conf"
        => "clone" "/etc/systemd/system/cron.service.d/files.conf" ["absent"] check "test $(systemctl show -p LimitNOFILE --value cron) != 5000 && test $(systemctl show -p Nice --value cron) = 5";
    "cron_file_removed": "rm /etc/cron.d/acme-night"
        => "clone" "/etc/cron.d/acme-night" ["absent"] check "test ! -e /etc/cron.d/acme-night";
    "certificate_removed": "rm /etc/ssl/acme/shop.key"
        => "clone" "/etc/ssl/acme/shop.key" ["absent"] check "test ! -e /etc/ssl/acme/shop.key";
    "addon_removed": "rm -r /usr/share/odoo-acme/acme_new"
        => "addons" "acme_new*" ["absent"] check "test ! -e /usr/share/odoo-acme/acme_new && test -e /var/lib/otr/backup/usr/share/odoo-acme/acme_new/models/a.py";
    "file_of_an_addon_removed": "rm /usr/share/odoo-acme/acme_sale/models/sale.py"
        => "addons" "acme_sale/models/sale.py" ["absent"] check "test ! -e /usr/share/odoo-acme/acme_sale/models/sale.py && test -d /usr/share/odoo-acme/acme_sale/models";
    "checkout_removed": "rm -r /usr/share/odoo-acme/oca"
        => "addons" "the checkout oca" ["absent"] check "test ! -e /usr/share/odoo-acme/oca";
    "files_of_the_checkout_removed": ":"
        => "addons" "oca*" ["absent"] check "test ! -e /var/lib/otr/backup/usr/share/odoo-acme/oca/.git";
};
