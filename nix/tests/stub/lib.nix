# The part of nixpkgs' lib that otr's flake uses.
let
  inherit (builtins)
    all
    any
    attrNames
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    head
    isAttrs
    listToAttrs
    mapAttrs
    stringLength
    substring
    ;

  isFunction = f: builtins.isFunction f || (f ? __functor);
  genAttrs =
    names: make:
    listToAttrs (
      map (name: {
        inherit name;
        value = make name;
      }) names
    );
  filterAttrs = keep: set: removeAttrs set (filter (name: !(keep name set.${name})) (attrNames set));
  recursiveUpdate =
    old: new:
    if isAttrs old && isAttrs new then
      old
      // mapAttrs (name: value: if old ? ${name} then recursiveUpdate old.${name} value else value) new
    else
      new;

  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    stringLength text >= stringLength suffix
    && substring (stringLength text - stringLength suffix) (-1) text == suffix;
  removePrefix =
    prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
  removeSuffix =
    suffix: text:
    if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
  hasInfix = infix: text: builtins.replaceStrings [ infix ] [ "" ] text != text;

  # Words of these letters need no quotes; as nixpkgs does it.
  escapeShellArg =
    argument:
    let
      text = toString argument;
    in
    if builtins.match "[[:alnum:],._+:@%/-]+" text != null then
      text
    else
      "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'";
in
{
  inherit
    all
    any
    concatMap
    concatStringsSep
    elem
    escapeShellArg
    filter
    filterAttrs
    foldl'
    genAttrs
    hasInfix
    hasPrefix
    hasSuffix
    head
    isFunction
    mapAttrs
    recursiveUpdate
    removePrefix
    removeSuffix
    ;
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  optional = wanted: value: if wanted then [ value ] else [ ];
  optionals = wanted: values: if wanted then values else [ ];
  optionalAttrs = wanted: set: if wanted then set else { };
  optionalString = wanted: text: if wanted then text else "";
  importTOML = file: builtins.fromTOML (builtins.readFile file);
  escapeShellArgs = arguments: concatStringsSep " " (map escapeShellArg arguments);
  getExe =
    package:
    "${package}/bin/${
      package.meta.mainProgram or (throw "getExe: ${package.name} has no meta.mainProgram")
    }";
  assertMsg = holds: message: holds || throw message;
  callPackageWith =
    scope: file: arguments:
    let
      function = if isFunction file then file else import file;
      asked = builtins.functionArgs function;
      lacking = filter (name: !asked.${name} && !(scope ? ${name}) && !(arguments ? ${name})) (
        attrNames asked
      );
    in
    if lacking != [ ] then
      throw "callPackage: the stub has no ${toString lacking}"
    else
      function (builtins.intersectAttrs asked scope // arguments);
  licenses = {
    mit.spdxId = "MIT";
    asl20.spdxId = "Apache-2.0";
  };
  platforms.linux = [
    "x86_64-linux"
    "aarch64-linux"
  ];
  fileset = {
    unions = paths: paths;
    toSource =
      { root, fileset }:
      let
        missing = filter (path: !(builtins.pathExists path)) fileset;
        taken = map toString fileset;
        takes = path: any (one: one == path || hasPrefix "${one}/" path || hasPrefix "${path}/" one) taken;
      in
      if missing != [ ] then
        throw "fileset: there is no ${toString missing}"
      else
        builtins.path {
          path = root;
          name = "source";
          filter = path: _: takes path;
        };
  };
}
// import ./modules.nix
