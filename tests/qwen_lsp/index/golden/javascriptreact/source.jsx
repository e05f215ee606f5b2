import React, { useState } from "react";

export function Counter({ start, children }) {
  const [count, setCount] = useState(start);
  return (
    <div className="counter" onClick={() => setCount(count + 1)}>
      <Label text={`${count} größer`} />
      {children}
    </div>
  );
}

const Label = ({ text }) => <span>{text}</span>;

export default Counter;
