# Enough of nixpkgs' module system to refuse a value of a wrong type, an option that is not
# declared, and one without a value.
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    concatStringsSep
    filter
    foldl'
    head
    isAttrs
    isFunction
    isList
    length
    mapAttrs
    ;

  fail = path: message: throw "The option `${concatStringsSep "." path}' ${message}";
  show =
    value:
    if isFunction value then
      "<function>"
    else if isAttrs value then
      "{ ${concatStringsSep " " (attrNames value)} }"
    else if isList value then
      "[ ${concatStringsSep " " (map show value)} ]"
    else
      builtins.toJSON value;
  kind = value: if isAttrs value then value._type or "" else "";

  mkOption = attributes: attributes // { _type = "option"; };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };

  # The values of an option, without the conditions around them.
  values =
    definition:
    if kind definition == "if" then
      if definition.condition then values definition.content else [ ]
    else
      [ definition ];
  # The same for a set of options; a condition is moved onto each name, for it may read the
  # configuration that is being made.
  sets =
    definition:
    if kind definition == "if" then
      map (mapAttrs (_: mkIf definition.condition)) (sets definition.content)
    else
      [ definition ];

  # Types: a name, a check of one definition, and what several make together.
  one =
    path: definitions:
    if all (value: value == head definitions) definitions then
      head definitions
    else
      fail path "has conflicting values";
  simple = name: check: {
    inherit name check;
    merge =
      path: definitions: if length definitions == 1 then head definitions else one path definitions;
  };
  isText =
    value: builtins.isString value || builtins.isPath value || (isAttrs value && value ? outPath);

  # What YAML can hold; two sets are merged at every level.
  yaml = {
    name = "YAML value";
    check =
      value:
      if isAttrs value then
        all yaml.check (builtins.attrValues value)
      else if isList value then
        all yaml.check value
      else
        !(isFunction value);
    merge =
      path: definitions:
      if all isAttrs definitions then
        foldl' (
          old: new:
          old
          // mapAttrs (
            name: value:
            if old ? ${name} then
              yaml.merge (path ++ [ name ]) [
                old.${name}
                value
              ]
            else
              value
          ) new
        ) { } definitions
      else if all isList definitions then
        concatLists definitions
      else
        one path definitions;
  };

  types = rec {
    inherit yaml;
    bool = simple "boolean" builtins.isBool;
    int = simple "signed integer" builtins.isInt;
    str = simple "string" builtins.isString;
    path = simple "absolute path" (
      value: isText value && builtins.substring 0 1 (toString value) == "/"
    );
    package = simple "package" (value: isAttrs value && value ? outPath);
    strMatching =
      pattern:
      simple "string matching the pattern ${pattern}" (
        value: builtins.isString value && builtins.match pattern value != null
      );
    unspecified = simple "unspecified value" (_: true);
    nullOr = type: {
      name = "null or ${type.name}";
      check = value: value == null || type.check value;
      merge =
        path: definitions:
        if all (value: value == null) definitions then null else type.merge path definitions;
    };
    either = a: b: {
      name = "${a.name} or ${b.name}";
      check = value: a.check value || b.check value;
      merge = path: definitions: (if all a.check definitions then a else b).merge path definitions;
    };
    oneOf = all: foldl' either (head all) (builtins.tail all);
    listOf = type: {
      name = "list of ${type.name}";
      check = value: isList value && all type.check value;
      merge =
        path: definitions:
        concatLists (map (map (item: merged (path ++ [ "[]" ]) type [ item ])) definitions);
    };
    attrsOf = type: {
      name = "attribute set of ${type.name}";
      check = isAttrs;
      merge =
        path: definitions:
        mapAttrs (
          name: _:
          merged (path ++ [ name ]) type (
            concatMap (set: if set ? ${name} then values set.${name} else [ ]) definitions
          )
        ) (foldl' (a: b: a // b) { } definitions);
    };
    submodule = module: {
      name = "submodule";
      check = isAttrs;
      merge =
        path: definitions:
        (evalModules {
          modules = [ module ] ++ definitions;
          prefix = path;
        }).config;
    };
  };

  merged =
    path: type: definitions:
    let
      wrong = filter (value: !(type.check value)) definitions;
    in
    if wrong != [ ] then
      fail path "is not of type `${type.name}'. Value: ${show (head wrong)}"
    else
      type.merge path definitions;

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      load =
        module:
        let
          file = if builtins.isPath module || builtins.isString module then import module else module;
          body =
            if isFunction file then
              file (
                specialArgs
                // {
                  inherit config;
                  lib = import ./lib.nix;
                }
              )
            else
              file;
          isLong = body ? options || body ? config || body ? imports;
        in
        concatMap load (body.imports or [ ])
        ++ [
          {
            options = body.options or { };
            config = if isLong then body.config or { } else body;
          }
        ];
      loaded = concatMap load modules;
      join =
        old: new:
        old
        // mapAttrs (
          name: value: if old ? ${name} && kind value != "option" then join old.${name} value else value
        ) new;
      options = foldl' join { } (map (module: module.options) loaded);
      walk =
        path: declared: defined:
        let
          stray = filter (name: !(declared ? ${name})) (concatMap attrNames defined);
          pick = f: name: concatMap (set: if set ? ${name} then f set.${name} else [ ]) defined;
          option =
            name: declaration:
            let
              given = pick values name;
              at = path ++ [ name ];
            in
            if kind declaration != "option" then
              walk at declaration (pick sets name)
            else if given != [ ] then
              merged at declaration.type given
            else if declaration ? default then
              merged at declaration.type [ declaration.default ]
            else
              fail at "was accessed but has no value defined.";
        in
        if stray != [ ] then
          fail (path ++ [ (head stray) ]) "does not exist."
        else
          mapAttrs option declared;
      config = walk prefix options (concatMap (module: sets module.config) loaded);
    in
    {
      inherit config options;
    };
in
{
  inherit
    evalModules
    mkIf
    mkOption
    types
    ;
  mkEnableOption =
    what:
    mkOption {
      type = types.bool;
      default = false;
      description = "Whether to enable ${what}.";
    };
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
}
