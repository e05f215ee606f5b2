(class_definition name: (identifier) @name body: (_) @body) @class
(function_definition name: (identifier) @name body: (_) @body) @function
(type_alias_statement left: (type (identifier) @name)) @type
(assignment left: (identifier) @name) @variable
(assignment left: (pattern_list (identifier) @name)) @variable
((assignment left: [(_ object: (identifier) @self attribute: (identifier) @name)
                    (pattern_list (_ object: (identifier) @self attribute: (identifier) @name))]) @field
 (#eq? @self "self"))

(decorated_definition definition: (_) @wrapped) @wrapper
(decorator) @decorator

(import_statement name: (dotted_name) @module) @import
(import_statement name: (aliased_import name: (dotted_name) @module)) @import
(import_from_statement module_name: (_) @module) @import
(import_from_statement module_name: (_) @module name: (dotted_name) @imported) @import
(import_from_statement module_name: (_) @module name: (aliased_import name: (dotted_name) @imported)) @import
