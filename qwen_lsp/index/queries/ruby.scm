(module name: [(constant) @name (_ name: (_) @name)] body: (_) @body) @module
(class name: [(constant) @name (_ scope: (_) @container name: (_) @name)] body: (_) @body) @class
(class name: [(constant) @name (_ scope: (_) @container name: (_) @name)]) @class

(module body: (_ [(method name: (_) @name body: (_) @body) @method (singleton_method name: (_) @name body: (_) @body) @method]))
(singleton_class body: (_ (method name: (_) @name body: (_) @body) @method))
(method name: (_) @name body: (_) @body) @function
(method name: (_) @name) @function
(singleton_method name: (_) @name body: (_) @body) @method
(assignment left: (constant) @name) @constant
((call method: (identifier) @attribute arguments: (_ (simple_symbol) @name)) @field
 (#any-of? @attribute "attr_reader" "attr_writer" "attr_accessor"))

((call method: (identifier) @require arguments: (_ . (string) @module)) @import
 (#any-of? @require "require" "require_relative" "load"))
