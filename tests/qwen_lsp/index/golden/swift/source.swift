import Foundation
import class UIKit.UIView

let limit = 10
var größe: Int = 3

typealias Names = [String]

protocol Shelf {
    associatedtype Item
    var size: Int { get }
    func put(_ item: Item) -> Bool
}

enum Color: String {
    case red
    case green, blue

    func isRed() -> Bool { self == .red }
}

struct Point {
    var x: Double
    let y: Double = 0
}

@available(iOS 13, *)
final class Stock<T>: NSObject, Shelf {
    private var items: [String: T] = [:]
    static let shared = Stock<Int>()

    var size: Int {
        return items.count
    }

    init(limit: Int) {
        super.init()
    }

    deinit {
        items.removeAll()
    }

    @discardableResult
    func put(
        _ item: T
    ) -> Bool {
        let local = max(1, limit)
        func helper() -> Int { local }
        return helper() > items.count
    }
}

extension Stock where T == Int {
    func total() -> Int { 0 }
}

func load<T>(_ name: String, block: () throws -> T) rethrows -> T {
    return try block()
}
