# Specs as Nix values: merged from parts, and checked before anything is built with them.
{ lib }:
let
  inherit (builtins) isAttrs isList;

  merge =
    old: new:
    if isAttrs old && isAttrs new then
      old // lib.mapAttrs (name: value: if old ? ${name} then merge old.${name} value else value) new
    else if isList old && isList new then
      old ++ lib.filter (value: !(lib.elem value old)) new
    else
      new;
in
{
  # One spec from several parts. Sets are merged at every level, a list gets what it has not yet,
  # and of two other values the later part's stands.
  mkSpec = parts: lib.foldl' merge { version = 1; } parts;

  # A folder with `spec.yaml` and its templates; building it fails where `otr check` does.
  writeSpec =
    {
      pkgs,
      otr,
      settings,
      templates ? null,
    }:
    let
      yaml = (pkgs.formats.yaml { }).generate "spec.yaml" settings;
    in
    pkgs.runCommand "otr-spec" { nativeBuildInputs = [ otr ]; } ''
      mkdir $out
      cp ${yaml} $out/spec.yaml
      ${lib.optionalString (templates != null) "ln -s ${templates} $out/templates"}
      cd $out
      otr check spec.yaml
    '';
}
