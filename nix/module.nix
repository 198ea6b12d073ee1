# services.otr: the spec as Nix values, checked while the system is built, and timers and a
# service that run otr on it.
#
# NixOS owns packages, units and the files of /etc; otr looks at a NixOS host, and moves data to
# it. docs/nix.md says what that means for a spec.
{ self }:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkEnableOption
    mkIf
    mkOption
    types
    ;

  cfg = config.services.otr;
  spec = cfg.settings;
  hosts = spec.hosts or { };
  production = spec.production or null;

  checked = self.lib.otr.writeSpec {
    inherit pkgs;
    inherit (cfg) settings templates;
    otr = cfg.package;
  };

  # Every `{ secret = "SCHEME:REST"; }` of the spec.
  secrets =
    value:
    if builtins.isAttrs value then
      lib.optional (builtins.isString (value.secret or null)) value.secret
      ++ lib.concatMap secrets (builtins.attrValues value)
    else if builtins.isList value then
      lib.concatMap secrets value
    else
      [ ];
  wantedCredentials = map (lib.removePrefix "credential:") (
    lib.filter (lib.hasPrefix "credential:") (secrets spec)
  );
  isInStore = path: lib.hasPrefix "${builtins.storeDir}/" (toString path);
  secretFiles = map (lib.removePrefix "file:") (lib.filter (lib.hasPrefix "file:") (secrets spec));

  # The host that this machine is, where that can be known, and what is enabled that moves data to it.
  here =
    if cfg.host != null then
      cfg.host
    else
      let
        local = lib.filterAttrs (_: host: (host.address or null) == "local") hosts;
      in
      if local == { } then null else builtins.head (builtins.attrNames local);
  moving = lib.filter (name: cfg.${name}.enable) [
    "sync"
    "scrub"
    "follow"
  ];

  # Where a password could stand as plain text, which everyone could read in the Nix store.
  passwords = lib.filterAttrs (_: builtins.isString) {
    "redis.password" = spec.redis.password or null;
    "replication.password" = spec.replication.password or null;
    "odoo.options.admin_passwd" = spec.odoo.options.admin_passwd or null;
    "odoo.production.admin_passwd" = spec.odoo.production.admin_passwd or null;
    "odoo.standby.admin_passwd" = spec.odoo.standby.admin_passwd or null;
  };

  extraArgs =
    verb: example:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ example ];
      description = "More arguments of `otr ${verb}`.";
    };

  job = verb: calendar: {
    enable = mkEnableOption "a timer for `otr ${verb}`";
    onCalendar = mkOption {
      type = types.str;
      default = calendar;
      example = "*-*-* 02:00:00";
      description = "When, as {manpage}`systemd.time(7)` writes it.";
    };
    randomizedDelaySec = mkOption {
      type = types.str;
      default = "1min";
      description = "The longest it is put off by chance.";
    };
    extraArgs = extraArgs verb "--verbose";
  };

  # `plan` only looks. The others write below `dataDirs`, and give what they copied to its owner.
  sandbox = writes: {
    CapabilityBoundingSet = [
      "CAP_CHOWN"
      "CAP_DAC_OVERRIDE"
      "CAP_DAC_READ_SEARCH"
      "CAP_FOWNER"
      "CAP_KILL"
      "CAP_SETGID" # psql runs as postgres
      "CAP_SETUID"
    ];
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateTmp = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = "read-only"; # SSH keys
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectSystem = "strict";
    ReadWritePaths = writes;
    # The lock, and a person's word that this host may start.
    RuntimeDirectory = "otr";
    RuntimeDirectoryMode = "0700";
    RuntimeDirectoryPreserve = true;
    RestrictAddressFamilies = [
      "AF_INET"
      "AF_INET6"
      "AF_NETLINK"
      "AF_UNIX"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    UMask = "0027";
  };

  service = name: verb: writes: {
    description = "otr ${name} for ${spec.name or "an Odoo"}";
    after = [ "network-online.target" ];
    wants = [ "network-online.target" ];
    # A system that is switched to must not start a copy; its timer does.
    restartIfChanged = false;
    # What otr looks with: the tools of this system.
    path = [
      "/run/wrappers"
      "/run/current-system/sw"
    ];
    serviceConfig = sandbox writes // {
      Type = "oneshot";
      ExecStart = lib.escapeShellArgs (
        [
          (lib.getExe cfg.package)
          "--spec"
          "/etc/otr/spec.yaml"
        ]
        ++ lib.optionals (cfg.host != null) [
          "--here"
          cfg.host
        ]
        ++ verb
        ++ cfg.${name}.extraArgs
      );
      LoadCredential = lib.mapAttrsToList (name: path: "${name}:${path}") cfg.credentials;
      StateDirectory = "otr";
      StateDirectoryMode = "0750";
      Nice = 10;
      IOSchedulingClass = "idle";
      TimeoutStartSec = "6h";
      # `plan --detailed-exitcode` ends with 2 where there is drift: a finding, not a failure.
      SuccessExitStatus = [ 2 ];
    };
  };

  # What goes on until the host is promoted, in place of a timer. It ends by itself, and well.
  following =
    let
      once = service "follow" [
        "sync"
        "filestore"
        "--follow"
        "--every"
        cfg.follow.every
      ] cfg.dataDirs;
    in
    once
    // {
      after = once.after ++ [ "postgresql.service" ];
      wantedBy = [ "multi-user.target" ];
      restartIfChanged = true;
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig =
        removeAttrs once.serviceConfig [
          "SuccessExitStatus"
          "TimeoutStartSec"
        ]
        // {
          Type = "notify";
          Restart = "on-failure";
          RestartSec = 10;
          WatchdogSec = 900;
          TimeoutStopSec = 30;
          Nice = 5;
        };
    };

  timer = verb: {
    description = "otr ${verb}, ${cfg.${verb}.onCalendar}";
    wantedBy = [ "timers.target" ];
    timerConfig = {
      OnCalendar = cfg.${verb}.onCalendar;
      RandomizedDelaySec = cfg.${verb}.randomizedDelaySec;
      Persistent = true;
    };
  };
in
{
  options.services.otr = {
    enable = mkEnableOption "otr, which keeps a standby of an Odoo";
    package = mkOption {
      type = types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.otr;
      defaultText = lib.literalExpression "otr.packages.\${system}.otr";
      description = "The otr to use.";
    };
    settings = mkOption {
      type = (pkgs.formats.yaml { }).type;
      default = { };
      example = lib.literalExpression ''
        {
          version = 1;
          name = "acme";
          production = "erp1";
          hosts.erp1 = { address = "10.0.0.11"; access = "observe"; };
          hosts.erp2 = { address = "local"; listen = "10.0.0.12"; };
          odoo.databases = [ "acme" ];
        }
      '';
      description = "The spec. `otr check` reads it while the system is built.";
    };
    templates = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "A folder of templates for the spec's `files`.";
    };
    host = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "erp2";
      description = "The spec's name of this machine; not needed where its address is `local`.";
    };
    credentials = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        redis = "/run/secrets/redis";
      };
      description = "Files that hold the spec's secrets `credential:NAME`, by NAME.";
    };
    dataDirs = mkOption {
      type = types.listOf types.str;
      default = [ (spec.odoo.data_dir or "/var/lib/odoo") ];
      defaultText = lib.literalExpression ''[ (settings.odoo.data_dir or "/var/lib/odoo") ]'';
      description = "Where `otr sync` may write.";
    };
    plan = job "plan" "daily";
    sync = job "sync" "hourly";
    scrub = job "sync scrub" "daily";
    follow = {
      enable = mkEnableOption "the service that fetches new files as their rows arrive";
      every = mkOption {
        type = types.strMatching "[0-9]+(ms|s|min|m|h)";
        default = "5s";
        example = "500ms";
        description = "How often to ask whether anything is new.";
      };
      extraArgs = extraArgs "sync filestore --follow" "--accept-new";
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = spec != { };
        message = "services.otr.settings is empty: write the spec there, at least version, name, production and hosts.";
      }
      {
        assertion = production == null || hosts ? ${toString production};
        message = "services.otr.settings.production is ${toString production}, and settings.hosts has no such host; it has ${toString (builtins.attrNames hosts)}.";
      }
      {
        assertion = cfg.host == null || hosts ? ${toString cfg.host};
        message = "services.otr.host is ${toString cfg.host}, and settings.hosts has no such host; it has ${toString (builtins.attrNames hosts)}.";
      }
      {
        assertion =
          cfg.host != null
          || lib.any (host: (host.address or null) == "local") (builtins.attrValues hosts)
          || moving == [ ];
        message = "services.otr.${toString moving} needs to know which host of the spec this machine is: set services.otr.host, or `address = \"local\"` for it.";
      }
      {
        assertion = moving == [ ] || here == null || here != production;
        message = "services.otr.${toString moving} is enabled on ${toString here}, which is production: a sync runs on the standby.";
      }
      {
        assertion = !(cfg.follow.enable || cfg.scrub.enable) || (spec.odoo.databases or [ ]) != [ ];
        message = "services.otr.follow and services.otr.scrub keep the filestores of settings.odoo.databases, and there is none.";
      }
      {
        assertion = (spec.schedule or { }) == { };
        message = "services.otr.settings.schedule makes otr write timers to /etc, which NixOS owns: use services.otr.plan and services.otr.sync in its place.";
      }
      {
        assertion = !(spec ? filestore.follow || spec ? filestore.scrub);
        message = "services.otr.settings.filestore has `follow` or `scrub`, which make otr write units to /etc, which NixOS owns: use services.otr.follow and services.otr.scrub in their place.";
      }
      {
        assertion = lib.all (name: cfg.credentials ? ${name}) wantedCredentials;
        message = "services.otr.credentials lacks ${
          toString (lib.filter (name: !(cfg.credentials ? ${name})) wantedCredentials)
        }, which the spec names as `credential:`.";
      }
      {
        assertion = lib.all (name: lib.elem name wantedCredentials) (builtins.attrNames cfg.credentials);
        message = "services.otr.credentials has ${
          toString (
            lib.filter (name: !(lib.elem name wantedCredentials)) (builtins.attrNames cfg.credentials)
          )
        }, which no `credential:` of the spec names.";
      }
      {
        assertion = lib.all (path: lib.hasPrefix "/" path) (builtins.attrValues cfg.credentials);
        message = "services.otr.credentials must be absolute paths of files on the machine, not the secrets themselves.";
      }
      {
        assertion = !(lib.any isInStore (builtins.attrValues cfg.credentials ++ secretFiles));
        message = "a secret of services.otr is in the Nix store, where everyone can read it: keep it in a file outside, such as /run/secrets/NAME.";
      }
      {
        assertion = passwords == { };
        message = "services.otr.settings has ${toString (builtins.attrNames passwords)} as plain text, which everyone could read in the Nix store: write { secret = \"credential:NAME\"; } and services.otr.credentials.NAME.";
      }
    ];

    environment.systemPackages = [ cfg.package ];
    environment.etc = {
      "otr/spec.yaml".source = "${checked}/spec.yaml";
    }
    // lib.optionalAttrs (cfg.templates != null) { "otr/templates".source = cfg.templates; };

    systemd.services =
      lib.optionalAttrs cfg.plan.enable {
        otr-plan = service "plan" [ "plan" "--scheduled" "--detailed-exitcode" ] [ ];
      }
      // lib.optionalAttrs cfg.sync.enable {
        otr-sync = service "sync" [ "sync" ] cfg.dataDirs;
      }
      // lib.optionalAttrs cfg.scrub.enable {
        otr-scrub = service "scrub" [ "sync" "scrub" ] cfg.dataDirs;
      }
      // lib.optionalAttrs cfg.follow.enable { otr-follow = following; };
    systemd.timers =
      lib.optionalAttrs cfg.plan.enable { otr-plan = timer "plan"; }
      // lib.optionalAttrs cfg.sync.enable { otr-sync = timer "sync"; }
      // lib.optionalAttrs cfg.scrub.enable { otr-scrub = timer "scrub"; };
  };
}
