// Stand-in of codesign for the module of the same name and ports in FINN's library, which Verilator cannot
// elaborate. The sum of N addends after DEPTH cycles. For simulation; synthesis takes FINN's own.

module add_multi import mvu_pkg::*; #(
    int unsigned N,
    int unsigned DEPTH,
    int unsigned ARG_WIDTH,
    int          ARG_LO = 0,
    int          ARG_HI = 0,
    bit          RESET_ZERO = 1,

    localparam int unsigned SUM_WIDTH = sumwidth(N, ARG_WIDTH, ARG_LO, ARG_HI)
) (
    input  logic clk,
    input  logic rst,
    input  logic en,

    input  logic [ARG_WIDTH-1:0] arg[N],
    output logic [SUM_WIDTH-1:0] sum
);
    localparam int unsigned WIDE = SUM_WIDTH + ARG_WIDTH;

    logic [WIDE-1:0] total;
    always_comb begin
        total = '0;
        for (int unsigned i = 0; i < N; i++)
            total += (ARG_LO < 0) ? WIDE'($signed(arg[i])) : WIDE'(arg[i]);
    end

    if (DEPTH == 0) begin : gen_wire
        assign sum = total[SUM_WIDTH-1:0];
    end else begin : gen_delay
        logic [SUM_WIDTH-1:0] stage[DEPTH];
        always_ff @(posedge clk) begin
            if (rst) stage <= '{default: '0};
            else if (en) begin
                stage[0] <= total[SUM_WIDTH-1:0];
                for (int unsigned i = 1; i < DEPTH; i++) stage[i] <= stage[i-1];
            end
        end
        assign sum = stage[DEPTH-1];
    end
endmodule
