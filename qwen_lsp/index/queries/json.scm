(document (object (pair key: (string (string_content) @name) value: (object) @body) @key))
(document (object (pair key: (string (string_content) @name)) @key))
(document (object (pair value: (object (pair key: (string (string_content) @name)) @key))))
