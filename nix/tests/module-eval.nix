# Evaluates services.otr inside a NixOS: what it makes of right options, and that each wrong one
# is refused, in the words that say what would be right.
{
  nixpkgs,
  pkgs,
  self,
}:
let
  inherit (pkgs) lib;

  eval =
    options:
    (nixpkgs.lib.nixosSystem {
      inherit (pkgs.stdenv.hostPlatform) system;
      modules = [
        self.nixosModules.default
        {
          # So that NixOS asks for no disk and no boot loader.
          boot.isContainer = true;
          system.stateVersion = "26.05";
          services.otr = options;
        }
      ];
    }).config;

  # Everything the module sets, as one text: a value that cannot be evaluated shows here.
  forced =
    config:
    builtins.toJSON {
      inherit (config.services.otr) settings host credentials;
      assertions = map (a: if a.assertion then "" else a.message) config.assertions;
      etc = lib.mapAttrs (_: file: "${file.source}") (
        lib.filterAttrs (name: _: lib.hasPrefix "otr/" name) config.environment.etc
      );
      services = own (service: {
        inherit (service)
          after
          description
          restartIfChanged
          serviceConfig
          unitConfig
          wantedBy
          wants
          ;
      }) config.systemd.services;
      timers = own (timer: { inherit (timer) timerConfig wantedBy; }) config.systemd.timers;
    };
  own =
    pick: units: lib.mapAttrs (_: pick) (lib.filterAttrs (name: _: lib.hasPrefix "otr-" name) units);

  right = {
    enable = true;
    host = "erp2";
    settings = {
      version = 1;
      name = "acme";
      production = "erp1";
      hosts.erp1 = {
        address = "192.0.2.11";
        access = "observe";
      };
      hosts.erp2 = {
        address = "local";
        listen = "192.0.2.12";
      };
      odoo.databases = [ "acme" ];
      replication.postgresql = 13;
      redis.password.secret = "credential:redis";
    };
    credentials.redis = "/run/secrets/redis";
    plan.enable = true;
    sync = {
      enable = true;
      onCalendar = "*:0/15";
      extraArgs = [ "filestore" ];
    };
    scrub.enable = true;
    follow = {
      enable = true;
      every = "500ms";
    };
  };
  on = eval right;
  off = eval { };
  sync = on.systemd.services.otr-sync.serviceConfig;
  plan = on.systemd.services.otr-plan.serviceConfig;
  follow = on.systemd.services.otr-follow;

  says = config: map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
  with' = change: lib.recursiveUpdate right change;
  # Refused by a type, before any assertion.
  refused = options: !(builtins.tryEval (builtins.stringLength (forced (eval options)))).success;
  # Refused by the assertion that has these words, and by no other.
  told =
    words: options:
    let
      messages = says (eval options);
    in
    builtins.length messages == 1 && lib.hasInfix words (lib.head messages);

  expectations = {
    "off sets no unit" = !(off.systemd.services ? otr-plan) && !(off.environment.etc ? "otr/spec.yaml");
    "no assertion fails" = says on == [ ];
    "both timers" = on.systemd.timers ? otr-plan && on.systemd.timers ? otr-sync;
    "the calendar is kept" = on.systemd.timers.otr-sync.timerConfig.OnCalendar == "*:0/15";
    "the daily default" = on.systemd.timers.otr-plan.timerConfig.OnCalendar == "daily";
    "this machine is named" =
      lib.hasInfix "--here" sync.ExecStart && lib.hasInfix "erp2" sync.ExecStart;
    "more arguments come last" = lib.hasSuffix "filestore" (lib.removeSuffix "'" sync.ExecStart);
    "drift is no failure" = plan.SuccessExitStatus == [ 2 ];
    "a secret is a credential" = sync.LoadCredential == [ "redis:/run/secrets/redis" ];
    "sync may write Odoo's data" = lib.elem "/var/lib/odoo" sync.ReadWritePaths;
    "plan may not" = !(lib.elem "/var/lib/odoo" plan.ReadWritePaths);
    "a switch starts no copy" = !on.systemd.services.otr-sync.restartIfChanged;
    "a scrub has its timer" =
      on.systemd.timers.otr-scrub.timerConfig.OnCalendar == "daily"
      && lib.hasSuffix "sync scrub" on.systemd.services.otr-scrub.serviceConfig.ExecStart;
    "following is a service" =
      !(on.systemd.timers ? otr-follow) && lib.elem "multi-user.target" follow.wantedBy;
    "it starts after the replica" = lib.elem "postgresql.service" follow.after;
    "it tells systemd how it stands" =
      follow.serviceConfig.Type == "notify" && follow.serviceConfig.WatchdogSec == 900;
    "it begins again after a failure, and not after a promotion" =
      follow.serviceConfig.Restart == "on-failure" && follow.unitConfig.StartLimitIntervalSec == 0;
    "it has no time to be done in" = !(follow.serviceConfig ? TimeoutStartSec);
    "it asks as often as said" = lib.hasInfix "--follow --every 500ms" follow.serviceConfig.ExecStart;
    "it may write Odoo's data" = lib.elem "/var/lib/odoo" follow.serviceConfig.ReadWritePaths;
    "all are in the sandbox" =
      lib.all
        (
          unit:
          unit.serviceConfig.ProtectSystem == "strict"
          && unit.serviceConfig.NoNewPrivileges
          && !(lib.elem "CAP_SYS_ADMIN" unit.serviceConfig.CapabilityBoundingSet)
        )
        [
          on.systemd.services.otr-plan
          on.systemd.services.otr-sync
          on.systemd.services.otr-scrub
          follow
        ];

    "the spec is in /etc" = lib.hasSuffix "/spec.yaml" "${on.environment.etc."otr/spec.yaml".source}";

    # Wrong types and names.
    "enable = 1" = refused (with' {
      enable = 1;
    });
    "an unknown option" = refused (with' {
      setings = { };
    });
    "an unknown option of a timer" = refused (with' {
      plan.cron = "daily";
    });
    "arguments as one text" = refused (with' {
      plan.extraArgs = "--verbose";
    });
    "a calendar as a number" = refused (with' {
      sync.onCalendar = 15;
    });
    "a credential as a list" = refused (with' {
      credentials.redis = [ "/run/secrets/redis" ];
    });
    "a host as a number" = refused (with' {
      host = 2;
    });
    "a package as a text" = refused (with' {
      package = "otr";
    });
    "a function in the spec" = refused (with' {
      settings.odoo.options.workers = x: x;
    });
    "data folders as one text" = refused (with' {
      dataDirs = "/var/lib/odoo";
    });
    "a relative folder of templates" = refused (with' {
      templates = "templates";
    });

    # What only the whole shows.
    "no spec" = told "settings is empty" {
      enable = true;
      settings = { };
    };
    "production is no host" = told "production is erp9" (with' {
      settings.production = "erp9";
    });
    "host is no host" = told "services.otr.host is erp3" (with' {
      host = "erp3";
    });
    "which machine is this?" = told "needs to know which host" (
      lib.recursiveUpdate (removeAttrs right [ "host" ]) { settings.hosts.erp2.address = "192.0.2.12"; }
    );
    "sync on production" = told "which is production" (with' {
      host = "erp1";
    });
    "following on production" = told "follow is enabled on erp1" (with' {
      host = "erp1";
      sync.enable = false;
      scrub.enable = false;
    });
    "following without a name for this machine" = told "follow needs to know which host" (
      lib.recursiveUpdate (removeAttrs right [ "host" ]) {
        settings.hosts.erp2.address = "192.0.2.12";
        sync.enable = false;
        scrub.enable = false;
      }
    );
    "production is the machine itself" = told "enabled on erp2, which is production" (
      lib.recursiveUpdate (removeAttrs right [ "host" ]) { settings.production = "erp2"; }
    );
    "nothing to follow" = told "and there is none" (with' {
      settings.odoo.databases = [ ];
    });
    "otr's own service" = told "use services.otr.follow" (with' {
      settings.filestore.follow = "5s";
    });
    "an odd time" = refused (with' {
      follow.every = "often";
    });
    "otr's own timers" = told "which NixOS owns" (with' {
      settings.schedule.plan = "daily";
    });
    "a missing credential" = told "lacks redis" (removeAttrs right [ "credentials" ]);
    "a credential nobody names" = told "has odoo, which no" (with' {
      credentials.odoo = "/run/secrets/odoo";
    });
    "the secret itself" = told "not the secrets themselves" (with' {
      credentials.redis = "hunter2";
    });
    "a secret in the store" = told "is in the Nix store" (with' {
      credentials.redis = "${builtins.storeDir}/00000000000000000000000000000000-redis";
    });
    "a secret file in the store" = told "is in the Nix store" (with' {
      settings.odoo.options.admin_passwd.secret =
        "file:${builtins.storeDir}/00000000000000000000000000000000-odoo";
    });
    "a password as plain text" = told "redis.password as plain text" (
      removeAttrs (with' { settings.redis.password = "hunter2"; }) [ "credentials" ]
    );
    "a master password as plain text" = told "odoo.production.admin_passwd as plain text" (with' {
      settings.odoo.production.admin_passwd = "hunter2";
    });

    # Specs of several pairs from common parts.
    "parts are merged" =
      self.lib.otr.mkSpec [
        {
          packages.install = [
            "odoo-14"
            "postgresql-13"
          ];
          odoo.options.list_db = false;
        }
        {
          name = "acme";
          packages.install = [
            "postgresql-13"
            "nginx"
          ];
          odoo.options.db_name = "acme";
        }
        { odoo.options.list_db = true; }
      ] == {
        version = 1;
        name = "acme";
        packages.install = [
          "odoo-14"
          "postgresql-13"
          "nginx"
        ];
        odoo.options = {
          list_db = true;
          db_name = "acme";
        };
      };
  };
  wrong = builtins.attrNames (lib.filterAttrs (_: holds: !holds) expectations);
in
assert wrong == [ ] || throw "module-eval: ${lib.concatStringsSep "; " wrong}";
pkgs.runCommand "otr-module-eval"
  {
    units = forced on;
    passAsFile = [ "units" ];
    expectations = lib.concatStringsSep "\n" (builtins.attrNames expectations);
  }
  ''
    printf '%s\n' "$expectations" > $out
  ''
