(document (block_node (block_mapping (block_mapping_pair key: (_) @name value: (block_node) @body) @key)))
(document (block_node (block_mapping (block_mapping_pair key: (_) @name) @key)))
(document (block_node (block_mapping (block_mapping_pair
  value: (block_node (block_mapping (block_mapping_pair key: (_) @name) @key))))))
