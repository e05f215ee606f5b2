import React, { type ReactNode } from "react";

interface Props<T> {
  items: T[];
  render: (item: T) => ReactNode;
}

export function List<T>({ items, render }: Props<T>): JSX.Element {
  return <ul>{items.map((item) => <Row key={String(item)}>{render(item)}</Row>)}</ul>;
}

const Row: React.FC<{ children: ReactNode }> = ({ children }) => <li className="größe">{children}</li>;
