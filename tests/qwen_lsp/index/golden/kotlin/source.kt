package shop.stock

import kotlin.math.max
import shop.util.*
import shop.model.Item as Thing

const val LIMIT = 10
val größe: Int = 3

typealias Names = List<String>

interface Shelf {
    val size: Int
    fun put(item: Thing): Boolean
}

enum class Color(val code: Int) {
    RED(1), GREEN(2);

    fun isRed() = this == RED
}

data class Point(val x: Int, var y: Int)

/** Keeps items. */
@Deprecated("old")
open class Stock<T : Any>(private val limit: Int) : Shelf {
    private val items = mutableMapOf<String, T>()
    override val size: Int
        get() = items.size

    init {
        println("new stock")
    }

    @Throws(IllegalStateException::class)
    override fun put(
        item: Thing,
    ): Boolean {
        val local = max(1, limit)
        fun helper() = local
        return helper() > items.size
    }

    companion object {
        fun empty(): Stock<Any> = Stock(0)
    }
}

object Registry {
    val all = mutableListOf<Stock<Any>>()
}

fun String.shout(): String = uppercase()

suspend fun <T> load(name: String, block: () -> T): T {
    return block()
}
