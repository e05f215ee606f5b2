local json = require("cjson")
local util = require "shop.util"

LIMIT = 10
local größe = 3

local Stock = { count = 0 }
Stock.__index = Stock

--- Makes one.
function Stock.new(limit)
  local self = setmetatable({}, Stock)
  self.items = {}
  self.limit = limit or LIMIT
  return self
end

function Stock:put(name, item)
  local function helper(n)
    return n + größe
  end
  self.items[name] = helper(item)
  return json.encode(self.items)
end

Stock.take = function(self, name)
  return util.take(self.items, name)
end

local shout = function(s)
  return s:upper()
end

local function load(path)
  return shout(path)
end

return Stock
