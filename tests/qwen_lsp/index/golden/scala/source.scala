package shop.stock

import scala.collection.mutable
import shop.model.{Item, Price => Cost}
import shop.util._

trait Shelf {
  type Id
  def size: Int
  def put(item: Item): Boolean
}

sealed abstract class Color
case object Red extends Color
case class Point(x: Int, y: Int)

@deprecated("old", "1.0")
class Stock[T](limit: Int) extends Shelf {
  private val items = mutable.Map.empty[String, T]
  var größe: Int = 3
  type Id = String

  def size: Int = items.size

  @inline
  override def put(
      item: Item
  ): Boolean = {
    val local = math.max(1, limit)
    def helper(n: Int): Int = n + local
    helper(1) > items.size
  }
}

object Stock {
  val Limit = 10
  def empty: Stock[Any] = new Stock[Any](0)
}

enum Size {
  case Small, Large
}

given ordering: Ordering[Point] with {
  def compare(a: Point, b: Point): Int = a.x - b.x
}

extension (s: String) def shout: String = s.toUpperCase
