// Stand-in of codesign for the module of the same name and ports in FINN's library, which Verilator cannot
// elaborate. A ring buffer that holds DEPTH words. For simulation; synthesis takes FINN's own.

module fifo #(
    int unsigned DEPTH,
    int unsigned DATA_WIDTH,
    parameter    RAM_STYLE = "auto"
) (
    input  logic clk,
    input  logic rst,

    input  logic [DATA_WIDTH-1:0] idat,
    input  logic                  ivld,
    output logic                  irdy,

    output logic [DATA_WIDTH-1:0] odat,
    output logic                  ovld,
    input  logic                  ordy,

    output logic [$clog2(DEPTH+1):0] count,
    output logic [$clog2(DEPTH+1):0] maxcount
);
    logic [DATA_WIDTH-1:0]    store[DEPTH];
    logic [$clog2(DEPTH+1):0] head = 0, tail = 0, held = 0, most = 0;

    wire push = ivld && irdy;
    wire pop  = ovld && ordy;

    assign irdy     = held < DEPTH;
    assign ovld     = held != 0;
    assign odat     = store[head];
    assign count    = held;
    assign maxcount = most;

    always_ff @(posedge clk) begin
        if (rst) begin
            head <= 0;
            tail <= 0;
            held <= 0;
            most <= 0;
        end else begin
            if (push) begin
                store[tail] <= idat;
                tail        <= (tail == DEPTH - 1) ? 0 : tail + 1;
            end
            if (pop) head <= (head == DEPTH - 1) ? 0 : head + 1;
            held <= held + push - pop;
            if (held > most) most <= held;
        end
    end
endmodule
