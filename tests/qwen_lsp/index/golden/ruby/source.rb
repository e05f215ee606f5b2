# frozen_string_literal: true

require "json"
require_relative "../lib/item"

LIMIT = 10

module Shop
  VERSION = "1.0"

  def self.open(path)
    Stock.new(path)
  end

  # Keeps items.
  class Stock < Base
    include Enumerable
    attr_reader :items, :limit
    attr_accessor :größe

    class << self
      def empty
        new(0)
      end
    end

    def initialize(limit = LIMIT)
      @limit = limit
      @items = {}
    end

    def empty?
      @items.empty?
    end

    def [](name) = @items[name]

    def put(name,
            item: nil)
      local = [1, @limit].max
      @items[name] = item.shout if local > 1
    end

    private

    def helper(*args, &block)
      block.call(*args)
    end
  end

  class Stock::Error < StandardError; end
end

def main
  Shop.open("x").put("é")
end
