using System;
using System.Collections.Generic;
using static System.Math;
using Cash = Shop.Util.Money;

namespace Shop.Stock
{
    public delegate void Changed(object sender, int count);

    public interface IShelf<T>
    {
        int Size { get; }
        bool Put(T item);
    }

    public enum Color
    {
        Red = 1,
        Green,
    }

    public record Point(int X, int Y);

    public struct Pair
    {
        public int A, B;
    }

    [Obsolete("old")]
    public sealed class Stock<T> : IShelf<T> where T : class
    {
        private const int Limit = 10;
        private readonly Dictionary<string, T> _items = new();
        public event EventHandler Emptied;

        public int Größe { get; set; } = 3;
        public int Size => _items.Count;

        public Stock(int limit)
        {
            Emptied?.Invoke(this, EventArgs.Empty);
        }

        ~Stock() { }

        [Pure]
        public bool Put(
            T item)
        {
            var local = Max(1, Limit);
            int Helper(int n) => n + local;
            return Helper(1) > _items.Count;
        }

        public static Stock<T> operator +(Stock<T> a, Stock<T> b) => a;

        public T this[string name] => _items[name];

        private class Node
        {
            internal Node Next;
        }
    }

    public static class Extensions
    {
        public static string Shout(this string s) => s.ToUpper();
    }
}
