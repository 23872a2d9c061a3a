export default function Page() {
  return <h1>next</h1>;
}
