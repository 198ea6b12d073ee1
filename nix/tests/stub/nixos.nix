# lib.nixosSystem, with the NixOS options that otr's module sets, and no others.
{ lib, legacyPackages }:
{
  modules,
  system,
  specialArgs ? { },
}:
let
  inherit (lib) mkOption types;

  strings = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  atom = types.oneOf [
    types.bool
    types.int
    types.str
    types.path
  ];
  # As NixOS has it: what systemd reads is one value, or a list of them.
  section = mkOption {
    type = types.attrsOf (types.either atom (types.listOf atom));
    default = { };
  };
  unit = {
    description = mkOption {
      type = types.str;
      default = "";
    };
    after = strings;
    wants = strings;
    wantedBy = strings;
  };
  of =
    options:
    mkOption {
      default = { };
      type = types.attrsOf (types.submodule { inherit options; });
    };
in
lib.evalModules {
  specialArgs = {
    pkgs = legacyPackages.${system};
  }
  // specialArgs;
  modules = modules ++ [
    {
      options = {
        assertions = mkOption {
          type = types.listOf types.unspecified;
          default = [ ];
        };
        boot.isContainer = mkOption { type = types.bool; };
        system.stateVersion = mkOption { type = types.str; };
        environment.systemPackages = mkOption {
          type = types.listOf types.package;
          default = [ ];
        };
        environment.etc = of { source = mkOption { type = types.path; }; };
        systemd.services = of (
          unit
          // {
            serviceConfig = section;
            unitConfig = section;
            restartIfChanged = mkOption {
              type = types.bool;
              default = true;
            };
            path = mkOption {
              type = types.listOf (types.either types.package types.str);
              default = [ ];
            };
          }
        );
        systemd.timers = of (unit // { timerConfig = section; });
      };
    }
  ];
}
