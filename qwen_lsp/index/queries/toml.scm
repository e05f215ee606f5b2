; The body of a table begins at its first pair
([(table . [(bare_key) (dotted_key) (quoted_key)] @name . (pair) @body)
  (table_array_element . [(bare_key) (dotted_key) (quoted_key)] @name . (pair) @body)] @section)
([(table . [(bare_key) (dotted_key) (quoted_key)] @name)
  (table_array_element . [(bare_key) (dotted_key) (quoted_key)] @name)] @section)
(pair . [(bare_key) (dotted_key) (quoted_key)] @name) @key
