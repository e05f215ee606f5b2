(module name: [(constant) @name (scope_resolution name: (_) @name)] body: (_) @body) @module
(class name: [(constant) @name (scope_resolution scope: (_) @container name: (_) @name)] body: (_) @body) @class
(class name: [(constant) @name (scope_resolution scope: (_) @container name: (_) @name)]) @class

(module body: (body_statement [(method name: (_) @name body: (_) @body) @method (singleton_method name: (_) @name body: (_) @body) @method]))
(singleton_class body: (body_statement (method name: (_) @name body: (_) @body) @method))
(method name: (_) @name body: (_) @body) @function
(method name: (_) @name) @function
(singleton_method name: (_) @name body: (_) @body) @method
(assignment left: (constant) @name) @constant
((call method: (identifier) @attribute arguments: (argument_list (simple_symbol) @name)) @field
 (#any-of? @attribute "attr_reader" "attr_writer" "attr_accessor"))

((call method: (identifier) @require arguments: (argument_list . (string) @module)) @import
 (#any-of? @require "require" "require_relative" "load"))
