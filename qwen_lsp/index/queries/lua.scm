(function_declaration name: (identifier) @name body: (_) @body) @function
(function_declaration name: (identifier) @name) @function
(function_declaration
  name: [(dot_index_expression table: (_) @container field: (_) @name)
         (method_index_expression table: (_) @container method: (_) @name)]
  body: (_) @body) @method
(function_declaration
  name: [(dot_index_expression table: (_) @container field: (_) @name)
         (method_index_expression table: (_) @container method: (_) @name)]) @method
(assignment_statement
  (variable_list . name: (dot_index_expression table: (_) @container field: (_) @name))
  (expression_list . value: (function_definition body: (_) @body))) @method
(assignment_statement (variable_list . name: (identifier) @name)
  (expression_list . value: (function_definition body: (_) @body))) @function
(assignment_statement (variable_list name: (identifier) @name)) @variable
(field name: (identifier) @name value: (function_definition body: (_) @body)) @method

(variable_declaration (assignment_statement) @wrapped) @wrapper

((function_call name: (identifier) @require arguments: (arguments . (string) @module)) @import (#eq? @require "require"))
